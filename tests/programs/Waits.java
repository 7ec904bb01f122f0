import java.util.concurrent.LinkedBlockingQueue;

// Threads that wait, each for something else, until the program is ended.
//
//     takes     > take, for an element of a queue
//     enters    > enter, for a monitor that `sleeps` has
//     sleeps    > sleep
public class Waits {
    static final LinkedBlockingQueue<String> queue = new LinkedBlockingQueue<>();
    static final Object monitor = new Object();

    static void take() throws InterruptedException {
        System.out.println(queue.take());
    }

    static void enter() {
        synchronized (monitor) {
            System.out.println("entered");
        }
    }

    static void sleep() throws InterruptedException {
        synchronized (monitor) {
            Thread.sleep(1_000_000);
        }
    }

    interface Wait {
        void run() throws InterruptedException;
    }

    static void start(String name, Wait wait) {
        Runnable run = () -> {
            try {
                wait.run();
            } catch (InterruptedException e) {
                System.out.println(e);
            }
        };
        new Thread(run, name).start();
    }

    public static void main(String[] args) throws InterruptedException {
        start("takes", Waits::take);
        start("sleeps", Waits::sleep);
        Thread.sleep(300);
        start("enters", Waits::enter);
        Thread.sleep(300);
        System.out.println("ready");
    }
}
