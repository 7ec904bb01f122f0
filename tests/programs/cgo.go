// Go that calls C, which calls Go.
package main

/*
#include <stdint.h>

extern void callback(int rounds);

static volatile uint64_t sink;

static void __attribute__((noinline)) c_work(int rounds) {
	for (int i = 0; i < rounds; i++)
		sink = sink * 6364136223846793005u + 1442695040888963407u;
}

static void __attribute__((noinline)) c_calls_go(int rounds) {
	callback(rounds);
	c_work(rounds / 2);
}
*/
import "C"

import "fmt"

var sink uint64

//export callback
func callback(rounds C.int) {
	for i := C.int(0); i < rounds; i++ {
		sink = sink*6364136223846793005 + 1442695040888963407
	}
}

//go:noinline
func caller() {
	C.c_work(100000)
	C.c_calls_go(300000)
}

func main() {
	fmt.Println("ready")
	for {
		caller()
	}
}
