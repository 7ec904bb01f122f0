// Runs for as long as it is told to and says how long that was: threads that end, and
// then a child. `burner THREADS MILLISECONDS`, each.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long milliseconds;

static long long ns_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *burn(void *unused)
{
	while (ns_of(CLOCK_THREAD_CPUTIME_ID) < milliseconds * 1000000)
		;
	return unused;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t ids[64];
	struct rusage child;
	long long ran_ns;

	milliseconds = argc > 2 ? atoll(argv[2]) : 100;
	if (threads > 64)
		return 2;
	for (int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, burn, NULL))
			return 1;
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	if (fork() == 0) {
		burn(NULL);
		_exit(0);
	}
	wait(NULL);
	getrusage(RUSAGE_CHILDREN, &child);
	ran_ns = ns_of(CLOCK_PROCESS_CPUTIME_ID);
	ran_ns += (child.ru_utime.tv_sec + child.ru_stime.tv_sec) * 1000000000LL;
	ran_ns += (child.ru_utime.tv_usec + child.ru_stime.tv_usec) * 1000LL;
	printf("%lld\n", ran_ns);
	return 0;
}
