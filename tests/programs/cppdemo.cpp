/* C++ as it is written: templates, virtual calls, lambdas, exceptions, sort.
 *
 *     main > shapes::run
 *         > double shapes::total<…lambda…>(…) > …lambda… (inlined) > shapes::Circle::area() const
 *         > … > shapes::Square::area() const     Circle : Square = 2 : 1
 *         > shapes::risky(int) > shapes::fail(int)      throws in each 16th call
 *         > shapes::rank(…) > void std::__introsort_loop<…>(…)
 *
 * Of the calibrated work Circle::area does 60 %, Square::area 30 % and risky
 * 10 %; throwing and sorting come on top.
 *
 * cppdemo [SECONDS] */
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "program.h"

namespace shapes {

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};

struct Circle final : Shape {
    FRAME double area() const override {
        work(1);
        return 3.14;
    }
};

struct Square final : Shape {
    FRAME double area() const override {
        work(1);
        return 1.0;
    }
};

using Shapes = std::vector<std::unique_ptr<Shape>>;

template <typename Measure> FRAME double total(const Shapes &all, Measure measure) {
    double sum = 0;
    for (const auto &shape : all)
        sum += measure(*shape);
    return sum;
}

FRAME int fail(int call) { throw std::runtime_error("call " + std::to_string(call)); }

FRAME int risky(int call) {
    work(1);
    return call % 16 == 0 ? fail(call) + 1 : call;
}

FRAME int guarded(int call) {
    try {
        return risky(call);
    } catch (const std::runtime_error &error) {
        return static_cast<int>(error.what()[0]);
    }
}

FRAME void rank(std::vector<unsigned> &values, uint64_t *state) {
    for (auto &value : values)
        value = next_choice(state, 1000000);
    std::sort(values.begin(), values.end(), [](unsigned a, unsigned b) { return a % 1000 > b % 1000; });
}

FRAME double run(uint64_t deadline) {
    Shapes all;
    for (int i = 0; i < 9; i++) {
        if (i % 3 == 2)
            all.push_back(std::make_unique<Square>());
        else
            all.push_back(std::make_unique<Circle>());
    }
    std::vector<unsigned> values(200);
    uint64_t state = 1;
    double sum = 0;
    for (int call = 1; now_ns() < deadline; call++) {
        sum += total(all, [](const Shape &shape) { return shape.area() * 2; });
        sum += guarded(call);
        rank(values, &state);
    }
    return sum;
}

} // namespace shapes

int main(int argc, char **argv) {
    uint64_t deadline = deadline_ns(argc > 1 ? argv[1] : nullptr);
    say("ready");
    return shapes::run(deadline) < 0;
}
