// CPU-bound Go with known shares: of what main.run takes, hot has 70 %, warm 20 % and
// cold 10 %.
//
//	go-split functions         in four goroutines
//	go-split crowd             the same, beside ten thousand that wait
//	go-split server PROFILE    in a server whose clients are here, too; runtime/pprof's
//	                           profile of it goes to a file
//	go-split switches          much of what the runtime does on the threads' own stacks
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

var sinks [64]uint64

// Small enough to be inlined.
func work(sink *uint64, rounds int) {
	value := *sink
	for i := 0; i < rounds; i++ {
		value = value*6364136223846793005 + 1442695040888963407
	}
	*sink = value
}

//go:noinline
func hot(sink *uint64) { work(sink, 70000) }

//go:noinline
func warm(sink *uint64) { work(sink, 20000) }

//go:noinline
func cold(sink *uint64) { work(sink, 10000) }

//go:noinline
func run(sink *uint64) {
	hot(sink)
	warm(sink)
	cold(sink)
}

func loop(i int) {
	for {
		run(&sinks[i])
	}
}

func functions() {
	for i := range 4 {
		go loop(i)
	}
	fmt.Println("ready")
	select {}
}

func handle(to http.ResponseWriter, request *http.Request) {
	var sink uint64
	run(&sink)
	fmt.Fprintln(to, sink, request.URL.Path)
}

func server(path string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go http.Serve(listener, http.HandlerFunc(handle))
	for i := range 50 {
		go ask(fmt.Sprintf("http://%s/%d", listener.Addr(), i))
	}
	file, err := os.Create(path)
	check(err)
	check(pprof.StartCPUProfile(file))
	fmt.Println("ready")
	time.Sleep(5 * time.Second)
	pprof.StopCPUProfile()
	check(file.Close())
	fmt.Println("profiled")
	select {}
}

func ask(url string) {
	for {
		response, err := http.Get(url)
		check(err)
		_, err = io.ReadAll(response.Body)
		check(err)
		response.Body.Close()
	}
}

func crowd() {
	never := make(chan int)
	for range 10000 {
		go func() { sinks[<-never]++ }()
	}
	functions()
}

func switches() {
	fmt.Println("ready")
	go func() {
		for {
			sinks[0] += uint64(time.Now().UnixNano())
		}
	}()
	var kept [][]byte
	for {
		kept = append(kept, make([]byte, 40000))
		if len(kept) > 100 {
			kept = nil
			runtime.GC()
		}
		done := make(chan bool)
		go func() { grow(20); done <- true }()
		<-done
	}
}

// Needs a larger stack than goroutines begin with.
//
//go:noinline
func grow(depth int) uint64 {
	var frame [128]uint64
	for i := range frame {
		frame[i] = uint64(depth)
	}
	if depth == 0 {
		return frame[7]
	}
	return frame[depth] + grow(depth-1)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	switch os.Args[1] {
	case "functions":
		functions()
	case "server":
		server(os.Args[2])
	case "crowd":
		crowd()
	case "switches":
		switches()
	}
}
