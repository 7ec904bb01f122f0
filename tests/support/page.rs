//! A page in a browser, driven by the browser's own protocol (DevTools) through a pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::browser;
use crate::locate::temp_dir;

/// How long a browser may take for anything, twice as long as a page may.
const PATIENCE: Duration = Duration::from_secs(120);

/// Browsers whose pages are closed: starting one takes longer than most pages.
static IDLE: Mutex<Vec<Browser>> = Mutex::new(Vec::new());

/// A browser, which ends with its pipe.
#[derive(Debug)]
struct Browser {
    commands: ChildStdin,
    answers: Receiver<Vec<u8>>,
    last: u64,
}

/// A page in a browser, and all that it keeps.
#[derive(Debug)]
pub struct Page {
    /// None once it is given back.
    browser: Option<Browser>,
    context: Value,
    session: Option<String>,
    events: Vec<Value>,
    /// Addresses of what was loaded.
    loaded: Vec<String>,
}

impl Browser {
    fn start() -> Self {
        let dir = temp_dir().keep();
        let mut command = browser(&dir);
        command.args(["--remote-debugging-pipe", "about:blank"]);
        // The browser reads its third descriptor and writes to its fourth.
        let mut shell = Command::new("sh");
        shell.args(["-c", r#""$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1; rm -rf "$0""#]);
        shell.arg(&dir).arg(command.get_program()).args(command.get_args());
        let mut shell =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let commands = shell.stdin.take().unwrap();
        let answers = messages_of(shell);
        Browser { commands, answers, last: 0 }
    }
}

impl Page {
    /// An empty page, which shares nothing with others.
    ///
    /// # Panics
    /// If there is no browser.
    pub fn open() -> Self {
        let browser = IDLE.lock().unwrap().pop().unwrap_or_else(Browser::start);
        let (events, loaded) = (Vec::new(), Vec::new());
        let (context, session) = (Value::Null, None);
        let mut page = Page { browser: Some(browser), context, session, events, loaded };
        let context = page.command("Target.createBrowserContext", json!({}));
        page.context = context["browserContextId"].clone();
        let target = json!({"url": "about:blank", "browserContextId": page.context});
        let target = page.command("Target.createTarget", target);
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.command("Target.attachToTarget", target);
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.command(&format!("{domain}.enable"), json!({}));
        }
        page.resize(1280, 800);
        page
    }

    /// Has the browser do something, and gives what it answers.
    ///
    /// # Panics
    /// If it refuses, has ended, or does not answer in time.
    #[track_caller]
    pub fn command(&mut self, method: &str, parameters: Value) -> Value {
        let browser = self.browser.as_mut().unwrap();
        browser.last += 1;
        let id = browser.last;
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut message = serde_json::to_vec(&command).unwrap();
        message.push(0);
        browser.commands.write_all(&message).expect("a browser that reads");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.message(method, deadline);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// What the browser says next while it does something.
    #[track_caller]
    fn message(&mut self, doing: &str, deadline: Instant) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = self.browser.as_ref().unwrap().answers.recv_timeout(left);
        let message = message.unwrap_or_else(|error| panic!("{doing}: no answer: {error}"));
        serde_json::from_slice(&message).unwrap()
    }

    /// Sizes the window, in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", size);
    }

    /// Loads a file, with a fragment of its address, and waits until it is there.
    ///
    /// # Panics
    /// If it cannot be loaded, or not in time.
    #[track_caller]
    pub fn load(&mut self, file: &Path, fragment: &str) {
        self.visit(&format!("file://{}", file.display()), fragment);
    }

    /// The same of an address.
    ///
    /// # Panics
    /// If it cannot be loaded, or not in time.
    #[track_caller]
    pub fn visit(&mut self, address: &str, fragment: &str) {
        let deadline = Instant::now() + PATIENCE;
        self.loaded.push(address.to_owned());
        // Going to another fragment alone would not load it again.
        for address in ["about:blank", &format!("{address}{fragment}")] {
            self.events.retain(|event| event["method"] != "Page.loadEventFired");
            let answer = self.command("Page.navigate", json!({"url": address}));
            assert!(answer["errorText"].is_null(), "{answer}");
            while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
                let message = self.message(address, deadline);
                self.events.push(message);
            }
        }
    }

    /// What an expression is, or what it promises.
    ///
    /// # Panics
    /// If it throws something.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.command("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true, for a minute at most.
    ///
    /// # Panics
    /// If it never is.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let waiting = format!(
            "new Promise((done) => {{ const end = Date.now() + 60000; const look = () => {{ \
             const is = Boolean({expression}); if (is || Date.now() > end) done(is); else \
             setTimeout(look, 10); }}; look(); }})"
        );
        let is = self.evaluate(&waiting);
        let seen = || "document.body.innerText.slice(0, 2000)";
        assert_eq!(is, true, "{expression}: {}", self.evaluate(seen()));
    }

    /// Moves the pointer to a place, in CSS pixels.
    pub fn point(&mut self, x: f64, y: f64) {
        self.mouse("mouseMoved", x, y, 0);
    }

    /// Clicks at a place.
    pub fn click(&mut self, x: f64, y: f64) {
        self.drag((x, y), (x, y));
    }

    /// Presses the button at one place and lets go of it at another.
    pub fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.mouse("mouseMoved", from.0, from.1, 0);
        self.mouse("mousePressed", from.0, from.1, 1);
        self.mouse("mouseMoved", to.0, to.1, 1);
        self.mouse("mouseReleased", to.0, to.1, 0);
    }

    fn mouse(&mut self, what: &str, x: f64, y: f64, buttons: u32) {
        let button = if what == "mouseMoved" && buttons == 0 { "none" } else { "left" };
        let event = json!({
            "type": what, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1
        });
        self.command("Input.dispatchMouseEvent", event);
    }

    /// Presses a key: a character, or what the standard calls one (`Escape`).
    pub fn key(&mut self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            key if key.chars().count() == 1 => key,
            _ => "",
        };
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            _ => 0,
        };
        for what in ["keyDown", "keyUp"] {
            let mut event = json!({"type": what, "key": key, "windowsVirtualKeyCode": code});
            if what == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.command("Input.dispatchKeyEvent", event);
        }
    }

    /// What the page wanted to have from anywhere but itself.
    pub fn requests(&self) -> Vec<String> {
        let requested = self.events.iter().filter(|e| e["method"] == "Network.requestWillBeSent");
        let addresses = requested.filter_map(|e| e["params"]["request"]["url"].as_str());
        let own = |address: &&str| {
            *address == "about:blank" || self.loaded.iter().any(|loaded| loaded == address)
        };
        addresses.filter(|address| !own(address)).map(str::to_owned).collect()
    }

    /// What went wrong in the page: errors, and what its policy forbade.
    pub fn problems(&self) -> Vec<String> {
        let is_one = |e: &&Value| {
            e["method"] == "Runtime.exceptionThrown"
                || (e["method"] == "Log.entryAdded" && e["params"]["entry"]["level"] == "error")
                || (e["method"] == "Runtime.consoleAPICalled" && e["params"]["type"] == "error")
        };
        self.events.iter().filter(is_one).map(Value::to_string).collect()
    }
}

/// Messages as they come, without the zero byte that ends each, until the browser ends.
fn messages_of(mut shell: Child) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    let pipe = shell.stdout.take().unwrap();
    thread::spawn(move || {
        for message in BufReader::new(pipe).split(0) {
            let Ok(message) = message else { break };
            if sender.send(message).is_err() {
                break;
            }
        }
        let _ = shell.wait();
    });
    receiver
}

impl Drop for Page {
    fn drop(&mut self) {
        // A browser in an unknown state is not used again: it ends with its pipe.
        if !thread::panicking() {
            self.session = None;
            let context = json!({"browserContextId": self.context});
            self.command("Target.disposeBrowserContext", context);
            IDLE.lock().unwrap().extend(self.browser.take());
        }
    }
}
