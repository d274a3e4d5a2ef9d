// A program whose stacks are hard to walk: no frame pointers, alloca and arrays of variable length, over-aligned locals,
// exceptions that are caught and thrown on, destructors, tail calls, virtual calls, callbacks of qsort, threads,
// malloc in signal handlers (on the thread's stack and on another), coroutines, deep recursion, big frames.
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#define NOINLINE __attribute__((noinline))

static volatile uintptr_t sink;

NOINLINE static void take(size_t size)
{
	void *p = malloc(size);
	sink = sink + reinterpret_cast<uintptr_t>(p);
	free(p);
}

NOINLINE static void with_alloca(int n)
{
	char *p = static_cast<char *>(alloca(static_cast<size_t>(n) * 16 + 8));
	memset(p, n, static_cast<size_t>(n) * 16 + 8);
	take(static_cast<size_t>(n));
	if (n > 0)
		with_alloca(n - 1);
	sink = sink + static_cast<uintptr_t>(p[0]);
}

NOINLINE static void with_array(int n)
{
	int list[n + 1];
	for (int i = 0; i <= n; i++)
		list[i] = i;
	take(static_cast<size_t>(list[n / 2]) + 1);
	if (n > 0)
		with_array(n - 1);
	sink = sink + static_cast<uintptr_t>(list[n]);
}

NOINLINE static void aligned(int n)
{
	alignas(64) volatile char block[192];
	block[n & 127] = 1;
	char *p = static_cast<char *>(alloca(static_cast<size_t>(n) + 8));
	memset(p, 0, 8);
	take(static_cast<size_t>(n) + 1);
	if (n > 0)
		aligned(n - 1);
	sink = sink + static_cast<uintptr_t>(block[n & 127] + p[0]);
}

struct Guard {
	int n;
	~Guard() { take(static_cast<size_t>(n) + 32); }
};

NOINLINE static int throwing(int n)
{
	Guard guard{n};
	std::string text(static_cast<size_t>(n) + 40, 'x');
	if (n == 0)
		throw std::runtime_error("the end of " + text);
	try {
		return throwing(n - 1) + 1;
	} catch (const std::runtime_error &error) {
		take(static_cast<size_t>(n) + 1);
		if (n % 3 == 0)
			throw std::runtime_error(std::string(error.what()) + "!");
		throw;
	}
}

NOINLINE static void tail(int n, size_t size)
{
	if (n == 0)
		return take(size);
	return tail(n - 1, size + 1);
}

struct Base {
	virtual ~Base() = default;
	virtual std::unique_ptr<Base> next(int n) = 0;
};
struct Leaf : Base {
	std::vector<std::string> names;
	std::unique_ptr<Base> next(int n) override
	{
		names.push_back(std::string(static_cast<size_t>(n) + 20, 'y'));
		if (n == 0)
			return nullptr;
		auto made = std::make_unique<Leaf>();
		made->next(n - 1);
		return made;
	}
};

static int compare(const void *a, const void *b)
{
	take(24);
	return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

NOINLINE static void big_frame(int n)
{
	volatile char block[300000];
	block[n] = 1;
	take(100);
	if (n > 0)
		big_frame(n - 1);
	sink = sink + static_cast<uintptr_t>(block[n]);
}

NOINLINE static void deep(int n)
{
	if (n % 100 == 0)
		take(static_cast<size_t>(n % 1000) + 1);
	if (n > 0)
		deep(n - 1);
	sink = sink + 1;
}

static void on_signal(int)
{
	take(77);
	std::map<int, int> m;
	m[1] = 2;
	sink = sink + static_cast<uintptr_t>(m[1]);
}

NOINLINE static void signals(int n)
{
	for (int i = 0; i < n; i++) {
		std::string text(100, 'z');
		raise(i % 2 ? SIGUSR1 : SIGUSR2);
		sink = sink + text.size();
	}
	volatile int *nowhere = nullptr;
	(void)nowhere;
}

// Interrupted between any two instructions: SIGTRAP of the single-step flag would need a debugger; a timer does here.
NOINLINE static void interrupted(int milliseconds)
{
	timer_t timer;
	struct sigevent event = {};
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = SIGALRM;
	if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) != 0)
		return;
	struct itimerspec each = {{0, 300000}, {0, 300000}};
	timer_settime(timer, 0, &each, nullptr);
	clock_t end = clock() + milliseconds * (CLOCKS_PER_SEC / 1000);
	while (clock() < end) {
		std::vector<int> v;
		for (int i = 0; i < 500; i++) {
			alignas(64) volatile int w[16];
			w[i % 16] = i;
			sink = sink + static_cast<uintptr_t>(w[i % 16]) * 31 % 7;
		}
	}
	timer_delete(timer);
}

static ucontext_t back, coroutine;

static void in_coroutine()
{
	for (int i = 0; i < 50; i++) {
		with_alloca(5);
		swapcontext(&coroutine, &back);
	}
}

static void coroutines()
{
	size_t size = 262144;
	void *stack = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = size;
	coroutine.uc_link = &back;
	makecontext(&coroutine, in_coroutine, 0);
	for (int i = 0; i < 50; i++)
		swapcontext(&back, &coroutine);
	munmap(stack, size);
}

NOINLINE static void all(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		with_alloca(12);
		with_array(12);
		aligned(9);
		try {
			throwing(10);
		} catch (const std::exception &error) {
			sink = sink + strlen(error.what());
		}
		tail(6, 10);
		Leaf leaf;
		leaf.next(8);
		int numbers[] = {5, 3, 9, 1, 7};
		qsort(numbers, 5, sizeof(*numbers), compare);
		std::function<int(int)> f = [&](int n) { take(static_cast<size_t>(n)); return n ? f(n - 1) : 0; };
		f(7);
		std::vector<int> v = {3, 1, 2};
		std::sort(v.begin(), v.end(), [](int a, int b) { take(9); return a < b; });
		signals(4);
	}
}

static void *thread(void *)
{
	all(20);
	deep(500);
	return nullptr;
}

int main()
{
	static char other[65536];
	stack_t alternative = {};
	alternative.ss_sp = other;
	alternative.ss_size = sizeof(other);
	sigaltstack(&alternative, nullptr);
	struct sigaction action = {};
	action.sa_handler = on_signal;
	sigaction(SIGUSR1, &action, nullptr);
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &action, nullptr);
	action.sa_handler = [](int) { take(55); };
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, nullptr);

	all(50);
	coroutines();
	big_frame(15);
	deep(900);
	interrupted(300);
	std::vector<pthread_t> threads(8);
	for (auto &one : threads)
		pthread_create(&one, nullptr, thread, nullptr);
	for (auto one : threads)
		pthread_join(one, nullptr);
	puts("done");
}
