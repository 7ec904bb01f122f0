// Java with known methods.
//
//     main > deep > … > deep > hot                             > step   70 %
//                            > apply > lambda$deep$0 > cold    > step   30 %
//
// java Split run [DEPTH]   that; step is inlined if anything is
//            run-at-once   the same, not before compiled
//            mix           much of what the virtual machine has code of its own for
//            unload        that of `run` in classes that are loaded, and soon are gone
//            sleep         a thread that waits in a method
//            names         threads that are called otherwise than the kernel is told
import java.io.InputStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.IntSupplier;

public class Split {
    static volatile Object sink;

    static int step(int total, int i) {
        return (total + i * 31) % 1000003;
    }

    static int hot() {
        int total = 0;
        for (int i = 0; i < 70000; i++) total = step(total, i);
        return total;
    }

    static int cold() {
        int total = 0;
        for (int i = 0; i < 30000; i++) total = step(total, i);
        return total;
    }

    static int apply(IntSupplier work) {
        return work.getAsInt();
    }

    static int deep(int depth) {
        if (depth > 0) return deep(depth - 1) + 1;
        int total = hot();
        return total + apply(() -> cold());
    }

    interface Shape {
        int area(int x);
    }

    static class Square implements Shape {
        public int area(int x) {
            return x * x;
        }
    }

    static class Circle implements Shape {
        public int area(int x) {
            return 3 * x * x;
        }
    }

    static class Triangle implements Shape {
        public int area(int x) {
            return x * x / 2;
        }
    }

    static int shapes() {
        Shape[] shapes = {new Square(), new Circle(), new Triangle()};
        int total = 0;
        for (int i = 0; i < 20000; i++) total += shapes[i % 3].area(i);
        return total;
    }

    static int arrays() {
        byte[] bytes = new byte[4096];
        for (int i = 0; i < 200; i++) {
            byte[] others = new byte[4096];
            System.arraycopy(bytes, i, others, 0, 4096 - i);
            bytes = Arrays.copyOf(others, 4096);
        }
        return bytes[7];
    }

    static int texts() {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 500; i++) text.append("x" + i).append(i * 1.5);
        return text.toString().hashCode();
    }

    static int maps() {
        Map<Integer, String> map = new HashMap<>();
        for (int i = 0; i < 2000; i++) {
            map.merge(i % 777, "v" + i, (x, y) -> x.length() > y.length() ? x : y);
        }
        return map.values().stream().map(String::length).reduce(0, Integer::sum);
    }

    static double numbers() {
        double total = 0;
        for (int i = 1; i < 5000; i++) total += Math.sin(i) * Math.pow(i, 0.3) + Math.log(i);
        return total;
    }

    static int thrown(int depth) {
        if (depth == 0) throw new IllegalStateException("no");
        return thrown(depth - 1) + 1;
    }

    static int exceptions() {
        int total = 0;
        for (int i = 0; i < 5; i++) {
            try {
                thrown(20);
            } catch (IllegalStateException e) {
                total += e.getStackTrace().length;
            }
        }
        return total;
    }

    static void mix() {
        sink = shapes();
        sink = arrays();
        sink = texts();
        sink = maps();
        sink = numbers();
        sink = exceptions();
    }

    /** Has a class of its own of each that it is asked for. */
    static class Loader extends ClassLoader {
        private final byte[] bytes;

        Loader(byte[] bytes) {
            super(null);
            this.bytes = bytes;
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            if (!name.equals("Split")) throw new ClassNotFoundException(name);
            return defineClass(name, bytes, 0, bytes.length);
        }
    }

    static void unload() throws Exception {
        byte[] bytes;
        try (InputStream in = Split.class.getResourceAsStream("Split.class")) {
            bytes = in.readAllBytes();
        }
        for (int round = 0; ; round++) {
            Class<?> other = new Loader(bytes).loadClass("Split");
            var deep = other.getDeclaredMethod("deep", int.class);
            deep.setAccessible(true);
            for (int i = 0; i < 100; i++) sink = deep.invoke(null, 10);
            if (round % 20 == 0) System.gc();
        }
    }

    static Thread busy(String name) {
        Thread thread = new Thread(() -> {
            while (true) sink = deep(10);
        }, name);
        thread.start();
        return thread;
    }

    /** One that is there before, one that is renamed by another, and new ones. */
    static void names() throws Exception {
        busy("there before the recording");
        Thread renamed = busy("called this at first");
        busy("sp\u00e9cial \u2713 characters of all kinds");
        Thread.sleep(500);
        System.out.println("ready");
        Thread.sleep(1500);
        renamed.setName("renamed from another thread");
        busy("began after the recording did");
        // Texts and threads are moved meanwhile.
        while (true) {
            System.gc();
            Thread.sleep(10);
        }
    }

    static void pause() throws InterruptedException {
        Thread.sleep(20);
    }

    public static void main(String[] args) throws Exception {
        int depth = args.length > 1 ? Integer.parseInt(args[1]) : 10;
        switch (args[0]) {
            case "run":
                // Compiled by then.
                for (int i = 0; i < 2000; i++) sink = deep(depth);
                // Goes on.
            case "run-at-once":
                System.out.println("ready");
                while (true) sink = deep(depth);
            case "mix":
                for (int i = 0; i < 20; i++) mix();
                System.out.println("ready");
                while (true) mix();
            case "unload":
                System.out.println("ready");
                unload();
                break;
            case "sleep":
                System.out.println("ready");
                while (true) pause();
            case "names":
                names();
                break;
            default:
                throw new IllegalArgumentException(args[0]);
        }
    }
}
