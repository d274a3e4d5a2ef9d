// A program that knows what its heap holds: churn [ALLOCATIONS [THREADS [WORK]]].
//
// Each thread makes its part of ALLOCATIONS (20 million), most of them short-lived, and builds up about 175 MiB that stay;
// when all have done so, the main thread makes a spike on top: the peak. Then part of it is freed, and the short-lived go
// on. WORK is what is done besides for each short-lived one, in steps of about a nanosecond: 100 (the default) gives some 5
// million allocations a second and core, 900 about one million, 0 what the allocator can do.
//
// What lives at the peak, by the function that asked for it, is printed as JSON: the bytes asked for.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <pthread.h>
#include <vector>

namespace {

enum Site { URI, BUFFER, NODE, CACHE, TEMP, SPIKE, INDEX, SITES };
const char *const names[SITES] = {"make_uri", "make_buffer", "make_node", "cache_insert", "make_temp", "make_spike",
				  "make_index"};
std::atomic<uint64_t> live[SITES];

constexpr unsigned uris = 350000, buffers = 4200, nodes = 180000, cached = 300000, ring = 256;
constexpr size_t spike_bytes = 48u << 20;

struct Node {
	Node *next;
	uint64_t payload[5];
};

struct Entry {
	Entry *next;
	uint64_t key;
	char value[112];
};

struct Random {
	uint64_t state;
	uint64_t operator()()
	{
		state ^= state << 13;
		state ^= state >> 7;
		return state ^= state << 17;
	}
};

struct Counted {
	int64_t bytes[SITES] = {};
	~Counted()
	{
		for (int site = 0; site < SITES; site++)
			live[site] += static_cast<uint64_t>(bytes[site]);
	}
};

} // namespace

extern "C" {

__attribute__((noinline)) char *make_uri(size_t length)
{
	char *uri = new char[length];

	memset(uri, 'u', length);
	return uri;
}

__attribute__((noinline)) char *make_buffer(size_t bytes)
{
	char *buffer = static_cast<char *>(malloc(bytes));

	memset(buffer, 'b', bytes);
	return buffer;
}

__attribute__((noinline)) void *make_node(void *next)
{
	Node *node = new Node;

	node->next = static_cast<Node *>(next);
	node->payload[0] = 1;
	return node;
}

__attribute__((noinline)) void *cache_insert(void **bucket, uint64_t key)
{
	Entry *entry = new Entry;

	entry->next = static_cast<Entry *>(*bucket);
	entry->key = key;
	memset(entry->value, 'c', sizeof(entry->value));
	*bucket = entry;
	return entry;
}

__attribute__((noinline)) void **make_index(size_t entries)
{
	return static_cast<void **>(calloc(entries, sizeof(void *)));
}

__attribute__((noinline)) char *make_temp(size_t bytes)
{
	char *temp = static_cast<char *>(malloc(bytes));

	temp[0] = 't';
	return temp;
}

__attribute__((noinline)) char *make_spike(size_t bytes)
{
	char *spike = static_cast<char *>(malloc(bytes));

	memset(spike, 's', bytes);
	return spike;
}
}

namespace {

uint64_t allocations = 20000000, work = 100;
unsigned thread_count = 2;
pthread_barrier_t built, seen;
std::atomic<uint64_t> kept;

struct Temps {
	char *blocks[ring] = {};
	size_t sizes[ring] = {};
	unsigned at = 0;
	uint64_t digest = 1;

	__attribute__((noinline)) void turn(Random &random, uint64_t turns)
	{
		for (uint64_t i = 0; i < turns; i++) {
			uint64_t drawn = random();

			for (uint64_t step = 0; step < work; step++)
				digest = digest * 6364136223846793005u + drawn;
			free(blocks[at]);
			sizes[at] = 16 + drawn % 240;
			blocks[at] = make_temp(sizes[at]);
			at = (at + 1) % ring;
		}
	}
};

void *worker(void *number)
{
	Random random = {0x9e3779b97f4a7c15u + reinterpret_cast<uintptr_t>(number)};
	std::vector<char *> strings, blocks;
	std::vector<void *> chain;
	Temps temps;
	const uint64_t mine = allocations / thread_count, stay = uris + buffers + nodes + cached;
	const uint64_t pause = mine > 2 * stay ? (mine - stay) * 2 / 3 / (stay / 16) : 1;
	uint64_t made = 0;
	void *node = nullptr, **index;

	{
		Counted counted;

		index = make_index(65536);
		counted.bytes[INDEX] = 65536 * sizeof(void *);
		strings.reserve(uris);
		blocks.reserve(buffers);
		for (unsigned i = 0; i < uris; i++) {
			size_t length = 40 + random() % 80;

			strings.push_back(make_uri(length));
			counted.bytes[URI] += static_cast<int64_t>(length);
			if (i % 84 == 0 && blocks.size() < buffers) {
				size_t bytes = 4096 + random() % 32768;

				blocks.push_back(make_buffer(bytes));
				counted.bytes[BUFFER] += static_cast<int64_t>(bytes);
			}
			if (i < nodes) {
				node = make_node(node);
				counted.bytes[NODE] += sizeof(Node);
			}
			if (i < cached) {
				cache_insert(&index[i % 65536], random());
				counted.bytes[CACHE] += sizeof(Entry);
			}
			if (i % 8 == 0) {
				temps.turn(random, pause);
				made += pause;
			}
		}
		for (unsigned i = 0; i < ring; i++)
			counted.bytes[TEMP] += temps.blocks[i] ? static_cast<int64_t>(temps.sizes[i]) : 0;
		made += strings.size() + blocks.size() + nodes + cached + 3;
	}
	kept += strings.capacity() * sizeof(char *) + blocks.capacity() * sizeof(char *);
	pthread_barrier_wait(&built);
	pthread_barrier_wait(&seen);
	for (unsigned i = 0; i < blocks.size(); i += 2)
		free(blocks[i]);
	for (char *string : strings)
		delete[] string;
	if (made < mine)
		temps.turn(random, mine - made);
	return reinterpret_cast<void *>(temps.digest);
}

} // namespace

int main(int count, char **arguments)
{
	std::vector<pthread_t> threads;
	uint64_t total = 0;
	char *spike;

	if (count > 1)
		allocations = strtoull(arguments[1], nullptr, 10);
	if (count > 2)
		thread_count = static_cast<unsigned>(strtoul(arguments[2], nullptr, 10));
	if (count > 3)
		work = strtoull(arguments[3], nullptr, 10);
	pthread_barrier_init(&built, nullptr, thread_count + 1);
	pthread_barrier_init(&seen, nullptr, thread_count + 1);
	threads.resize(thread_count);
	for (unsigned i = 0; i < thread_count; i++)
		pthread_create(&threads[i], nullptr, worker, reinterpret_cast<void *>(uintptr_t{i}));
	pthread_barrier_wait(&built);
	spike = make_spike(spike_bytes);
	live[SPIKE] += spike_bytes;
	printf("{\"live\": {");
	for (int site = 0; site < SITES; site++) {
		printf("%s\"%s\": %llu", site ? ", " : "", names[site], static_cast<unsigned long long>(live[site]));
		total += live[site];
	}
	printf("}, \"peak_total\": %llu}\n", static_cast<unsigned long long>(total + kept));
	fflush(stdout);
	free(spike);
	pthread_barrier_wait(&seen);
	for (pthread_t thread : threads)
		pthread_join(thread, nullptr);
	return 0;
}
