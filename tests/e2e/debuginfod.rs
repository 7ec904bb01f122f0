//! Names from debuginfod servers that talk TLS, as public ones do, with a
//! certificate that the system knows.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rz_tests::{Target, Trace, binary, program_path, run, temp_dir, text, tool};

/// Serves the folder it runs in, and says at which port.
const SERVER: &str = r#"
import functools, http.server, ssl
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=".")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
print("port", server.server_port, flush=True)
server.serve_forever()
"#;

#[test]
fn names_come_by_tls() {
    let dir = temp_dir();
    let folder = dir.path();
    let program = folder.join("program");
    let shell = |line: &str| {
        let mut shell = Command::new(tool("sh"));
        shell.args(["-ec", line]).current_dir(folder).arg(program_path("split"));
        run(&mut shell).success()
    };
    let id = shell(
        r#"cp "$0" program
        objcopy --only-keep-debug program debuginfo
        strip program
        id=$(readelf -n program | sed -n 's/.*Build ID: //p')
        mkdir -p buildid/$id && mv debuginfo buildid/$id/ && echo $id
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
            -keyout key.pem -out cert.pem -subj /CN=debuginfod \
            -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"#,
    );
    let id = id.stdout.trim();
    assert!(folder.join("buildid").join(id).join("debuginfo").is_file());
    let mut python = Command::new(tool("python3"));
    let python = python.args(["-c", SERVER]).current_dir(folder).stderr(Stdio::null());
    let server = Target::spawn(python);
    let option = format!("--debuginfod=https://127.0.0.1:{}", server.wait_for("port "));

    let trace = Trace::record(&["-q", "--", text(&program), "0.5"]);
    let folded = |certificates: &Path| {
        let mut conv = Command::new(binary("conv"));
        conv.arg(trace.path()).args(["--to", "folded", "-o", "-", &option]);
        run(conv.env("SSL_CERT_FILE", certificates)).success()
    };
    let named = folded(&folder.join("cert.pem"));
    assert!(named.stdout.contains(";main;run;hot"), "{named}");
    assert!(!named.stderr.contains("debuginfod"), "{named}");
    // A server that nobody vouches for is not believed.
    fs::write(folder.join("none.pem"), "").unwrap();
    let unnamed = folded(&folder.join("none.pem"));
    assert!(!unnamed.stdout.contains(";hot"), "{unnamed}");
    assert!(unnamed.stderr.contains("debuginfod server https://127.0.0.1:"), "{unnamed}");
}
