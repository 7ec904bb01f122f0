// Makes system calls that are given buffers and structures of many kinds, once each, and
// ends with 0.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// What comes back, and an address that is none, are of no interest here.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wstringop-overread"

static char room[4096];

static void files(void)
{
	struct stat status;
	struct statx all;
	int fd = open("/etc/passwd", O_RDONLY);

	read(fd, room, sizeof(room));
	pread(fd, room, 10, 1);
	read(fd, room, sizeof(room));
	fstat(fd, &status);
	close(fd);
	stat("/dev/null", &status);
	stat("/", &status);
	stat("/nowhere", &status);
	stat("/tmp", &status);
	stat("/usr/bin/passwd", &status);
	statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, &all);
	statx(AT_FDCWD, "/dev/null", AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, STATX_SIZE, &all);
	statx(AT_FDCWD, "/nowhere", 0, STATX_ALL, &all);
	readlink("/proc/self/cwd", room, sizeof(room));
	getcwd(room, sizeof(room));
	pread(fd, room, 1, 0);
	write(-1, "abc", 3);
}

static void pipes(void)
{
	static const char odd[] = "a\0012b\n\"\\\xff\x1b<7> 0123456789012345678901234567890123";
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = 0x1234567890 };
	struct epoll_event found[4];
	struct pollfd polled[2];
	int fds[2], epoll = epoll_create1(0);

	pipe2(fds, O_CLOEXEC);
	epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event);
	epoll_ctl(epoll, EPOLL_CTL_DEL, fds[0], NULL);
	event.data.u64 = 7;
	epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event);
	polled[0] = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	poll(polled, 1, 1);
	// 32 bytes are whole, 33 are not.
	write(fds[1], odd, 31);
	write(fds[1], odd, 32);
	write(fds[1], odd, 33);
	write(fds[1], odd, sizeof(odd));
	write(fds[1], (void *)1, 3);
	epoll_wait(epoll, found, 4, 10);
	polled[1] = (struct pollfd){ .fd = fds[1], .events = POLLIN | POLLOUT };
	poll(polled, 2, 0);
	polled[1].events = 0;
	poll(polled + 1, 1, 0);
	polled[1].events = POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLRDHUP;
	poll(polled + 1, 1, 0);
	read(fds[0], room, 0);
	read(fds[0], room, 31);
	read(fds[0], room, sizeof(room));
	close(fds[0]);
	poll(polled + 1, 1, 0);
}

static void messages(void)
{
	char first[3], second[30];
	struct iovec parts[2] = { { first, 3 }, { second, 30 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	int fds[2];

	socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	write(fds[0], "hello", 5);
	readv(fds[1], parts, 2);
	parts[1].iov_len = 0;
	writev(fds[0], parts, 2);
	parts[1] = (struct iovec){ room, 100 };
	message.msg_iov = parts;
	sendmsg(fds[0], &message, MSG_NOSIGNAL);
	recvmsg(fds[1], &message, MSG_DONTWAIT);
	recvfrom(fds[1], room, 50, 0, NULL, NULL);
	recvfrom(fds[1], room, 50, MSG_DONTWAIT, NULL, NULL);
}

static void sockets(void)
{
	struct sockaddr_in inet = { .sin_family = AF_INET };
	struct sockaddr_in6 inet6 = { AF_INET6, htons(9), 0, IN6ADDR_LOOPBACK_INIT, 0 };
	struct sockaddr_un local = { AF_UNIX, "/nowhere/or\nso" };
	socklen_t length = sizeof(inet);
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	int datagrams = socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);

	inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(server, (void *)&inet, sizeof(inet));
	getsockname(server, (void *)&inet, &length);
	listen(server, 1);
	connect(client, (void *)&inet, sizeof(inet));
	accept(server, (void *)&inet, &length);
	sendto(client, "hi", 2, MSG_NOSIGNAL, NULL, 0);
	connect(datagrams, (void *)&inet6, sizeof(inet6));
	connect(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&local, sizeof(local));
}

static void handle(int number)
{
	(void)number;
}

static void signals(void)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction before;
	sigset_t set, others;

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGUSR2);
	sigaddset(&action.sa_mask, SIGRTMIN);
	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = SA_ONSTACK | SA_NODEFER | SA_RESETHAND | SA_NOCLDSTOP | SA_NOCLDWAIT;
	action.sa_handler = SIG_IGN;
	sigfillset(&action.sa_mask);
	sigaction(SIGUSR1, &action, &before);
	sigaction(SIGKILL, &action, NULL);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &others);
	sigpending(&set);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, &others);
}

static void others(char **words)
{
	struct timespec pause = { 0, 1000 }, left;
	struct rlimit limit;
	int status;
	pid_t child;

	nanosleep(&pause, NULL);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &left);
	getrlimit(RLIMIT_NOFILE, &limit);
	setrlimit(RLIMIT_NOFILE, &limit);
	child = fork();
	if (!child) {
		execv("/nowhere/true", words);
		execve(words[0], words, (char *[]){ "ONE=1", NULL });
		_exit(3);
	}
	waitpid(child, &status, 0);
	waitpid(-1, &status, WNOHANG);
}

int main(int argc, char **argv)
{
	// As its own child.
	if (argc > 2)
		return 4;
	files();
	pipes();
	messages();
	sockets();
	signals();
	others((char *[]){ 
		argv[0], "", "exactly as many as thirty-two ..", "one more than thirty-two is this.",
		"\n", NULL });
	return 0;
}
