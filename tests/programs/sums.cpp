// Adds up a vector, again and again: `sums` built with optimization, `sums-debug` without.
#include <cstdio>
#include <vector>

int main() {
    std::vector<unsigned> numbers(1 << 16, 3);
    unsigned sum = 0;
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
        for (unsigned number : numbers)
            sum = sum * 31 + number;
        for (size_t i = 0; i < numbers.size(); i++)
            numbers[i] += sum;
        if (sum == 7)
            std::puts("");
    }
}
