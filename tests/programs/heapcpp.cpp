// Allocates the way C++ does: containers, exceptions, threads.
//
//     main > fill             a vector that grows, a map of strings
//     main > throw_and_catch  THROWS exceptions, each allocated
//     start_thread > … > fill in two threads
//
// heapcpp [ROUNDS]; leaks one Node by `forget`
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "program.h"

namespace {
constexpr int throws = 200;

struct Node {
    char payload[777];
};

Node *volatile forgotten;
} // namespace

FRAME void forget() { forgotten = new Node; }

FRAME void fill(int rounds) {
    for (int round = 0; round < rounds; round++) {
        std::vector<std::string> words;
        std::map<int, std::string> numbered;
        for (int i = 0; i < 300; i++) {
            words.push_back(std::string(40, 'x'));
            numbered.emplace(i, std::string(50, 'y'));
        }
    }
}

FRAME void throw_and_catch() {
    for (int i = 0; i < throws; i++) {
        try {
            throw std::runtime_error("an error");
        } catch (const std::exception &) {
        }
    }
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
    forget();
    fill(rounds);
    throw_and_catch();
    std::thread first(fill, rounds), second(fill, rounds);
    first.join();
    second.join();
    return 0;
}
