// CPU-bound Java with known methods.
//
//     main > run > hot   70 %
//                > cold  30 %
//
// java -XX:+PreserveFramePointer -XX:-Inline Burn.java [SECONDS]
public class Burn {
    static int hot() {
        int total = 0;
        for (int i = 0; i < 700000; i++) total = (total + i * 31) % 1000003;
        return total;
    }

    static int cold() {
        int total = 0;
        for (int i = 0; i < 300000; i++) total = (total + i * 17) % 1000003;
        return total;
    }

    static int run(long end) {
        int total = 0;
        while (System.nanoTime() < end) total += hot() + cold();
        return total;
    }

    public static void main(String[] args) {
        double seconds = args.length > 0 ? Double.parseDouble(args[0]) : 0;
        long end = seconds > 0 ? System.nanoTime() + (long) (seconds * 1e9) : Long.MAX_VALUE;
        // Compiled by then.
        run(System.nanoTime() + 1_000_000_000L);
        System.out.println("ready");
        int total = 0;
        while (System.nanoTime() < end) total += run(Math.min(end, System.nanoTime() + 100_000_000L));
        if (total == 42) System.out.println(total);
    }
}
