/* What the sampler takes for an interpreter, and must not be hurt by: FAKE_VERSION, with structures that are none.
 * FAKE_FREE_THREADED: it says that it was built without the GIL. Prints how often its own allocator served. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct allocator {
	void *ctx;
	void *(*malloc)(void *, size_t);
	void *(*calloc)(void *, size_t, size_t);
	void *(*realloc)(void *, void *, size_t);
	void (*free)(void *, void *);
};
static int served, by_malloc;
static void *serve(void *ctx, size_t size) { (void)ctx; served++; return malloc(size); }
static void *serve_zeros(void *ctx, size_t n, size_t size) { (void)ctx; served++; return calloc(n, size); }
static void *serve_again(void *ctx, void *old, size_t size) { (void)ctx; return realloc(old, size); }
static void take(void *ctx, void *old) { (void)ctx; free(old); }
static void *raw(void *ctx, size_t size) { (void)ctx; by_malloc++; return malloc(size); }
static struct allocator tables[3] = {{NULL, raw, serve_zeros, serve_again, take},
				     {NULL, serve, serve_zeros, serve_again, take},
				     {NULL, serve, serve_zeros, serve_again, take}};

#ifndef FAKE_FREE_THREADED
#define FAKE_FREE_THREADED 0
#endif
const unsigned long Py_Version = FAKE_VERSION;
struct {
	char cookie[8];
	unsigned long long fields[100];
} _PyRuntime = {{'x', 'd', 'e', 'b', 'u', 'g', 'p', 'y'}, {FAKE_VERSION, FAKE_FREE_THREADED, 1, 2, 3}};
long PyCode_Type[4], PyUnicode_Type[4];

static char *state;
void PyMem_GetAllocator(int domain, struct allocator *table) { *table = tables[domain]; }
void PyMem_SetAllocator(int domain, struct allocator *table) { tables[domain] = *table; }
int Py_IsInitialized(void) { return 1; }
const char *Py_GetVersion(void) { return "3.fake"; }
void *_PyThreadState_UncheckedGet(void) { return state; }
void *PyThreadState_GetUnchecked(void) { return state; }
void *PyGILState_GetThisThreadState(void) { return state; }
int PyCode_Addr2Line(void *code, int byte) { (void)code; return byte; }

int main(void)
{
	static char wrong[4096];
	unsigned long long values[] = {0, 8, 0xdeadbeef, 0x7fffdeadbeef0000, 0xffffffffffffff00, 1};

	for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
		for (unsigned at = 0; at < sizeof wrong; at += 8)
			memcpy(wrong + at, &values[i], 8);
		state = wrong;
		for (int round = 0; round < 100; round++) {
			struct allocator *table = &tables[round % 3];
			void *block = table->malloc(table->ctx, 300);

			block = table->realloc(table->ctx, block, 500);
			table->free(table->ctx, block);
		}
	}
	state = (char *)0x1000; /* not even that can be read */
	tables[2].free(tables[2].ctx, tables[2].calloc(tables[2].ctx, 100, 5));
	printf("%d %d %s\n", by_malloc, served, tables[2].malloc == serve ? "not hooked" : "hooked");
	return 0;
}
