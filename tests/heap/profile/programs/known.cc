// Holds known amounts in known functions. Arguments: how it ends (exit, kill, abort).
#include <cstdio>
#include <cstdlib>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>
#include <vector>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, noclone))

static char *touch(void *memory, size_t bytes)
{
	volatile char *at = static_cast<char *>(memory);
	for (size_t i = 0; i < bytes; i += 64)
		at[i] = 1;
	return static_cast<char *>(memory);
}

KEPT char *large() { return touch(malloc(24 << 20), 24 << 20); }
KEPT char *untouched() { return touch(malloc(16 << 20), 4 << 20); }
KEPT void small(std::vector<char *> &held, int count)
{
	for (int i = 0; i < count; i++)
		held.push_back(touch(malloc(100), 100));
}
KEPT void *text() { return new std::string(5000, 'x'); }
KEPT char *mapped()
{
	void *memory = mmap(nullptr, 10 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return touch(memory, 10 << 20);
}
KEPT void spike()
{
	char *memory = touch(malloc(32 << 20), 32 << 20);
	usleep(20000);
	free(memory);
}
KEPT void passing(int count)
{
	std::vector<char *> held;
	small(held, count);
	for (char *one : held)
		free(one);
}

int main(int argc, char **argv)
{
	std::string end = argc > 1 ? argv[1] : "exit";
	std::vector<char *> held;
	std::vector<void *> texts;
	held.reserve(200000);
	texts.reserve(2000);
	char *first = large(), *second = untouched(), *third = mapped();
	std::thread other(passing, 100000);
	small(held, 200000);
	for (int i = 0; i < 2000; i++)
		texts.push_back(text());
	other.join();
	usleep(20000);
	spike();
	for (int i = 0; i < 150000; i++)
		free(held[i]);
	free(first);
	usleep(20000);
	printf("%p %p\n", static_cast<void *>(second), static_cast<void *>(third));
	fflush(stdout);
	if (end == "kill")
		raise(SIGKILL);
	if (end == "abort")
		abort();
	return 0;
}
