// shuffle SOCKET [QUEUE]: fetches the URI of every song that the Music Player Daemon at SOCKET knows, shuffles them,
// puts QUEUE of them (10 unless said) into the play queue, and says how many songs there are.
//
// It keeps what a shuffling client keeps: the URI of each song and the order to play them in. As such a client runs for
// ever, it never gives them back.
#include <mpd/client.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

struct Close {
	void operator()(mpd_connection *connection) const { mpd_connection_free(connection); }
};
using Connection = std::unique_ptr<mpd_connection, Close>;

[[noreturn]] void fail(mpd_connection *connection)
{
	std::cerr << "shuffle: " << mpd_connection_get_error_message(connection) << '\n';
	std::exit(1);
}

Connection connect(const char *socket)
{
	// libmpdclient takes a name that does not begin with a slash for a host's.
	const auto path = std::filesystem::absolute(socket);
	Connection connection{mpd_connection_new(path.c_str(), 0, 30000)};

	if (connection == nullptr || mpd_connection_get_error(connection.get()) != MPD_ERROR_SUCCESS)
		fail(connection.get());
	return connection;
}

// One song as the pool keeps it.
struct Song {
	std::string uri;
};

std::vector<Song> load(mpd_connection *connection)
{
	std::vector<Song> pool;

	if (!mpd_send_list_all(connection, ""))
		fail(connection);
	while (mpd_song *song = mpd_recv_song(connection)) {
		pool.push_back({mpd_song_get_uri(song)});
		mpd_song_free(song);
	}
	if (!mpd_response_finish(connection))
		fail(connection);
	return pool;
}

// The order to play them in; each song once before any comes again.
std::vector<std::size_t> shuffle(std::size_t songs)
{
	std::mt19937 chance{42};
	std::vector<std::size_t> order(songs);

	for (std::size_t i = 0; i < songs; i++)
		order[i] = i;
	for (std::size_t i = songs; i > 1; i--)
		std::swap(order[i - 1], order[chance() % i]);
	return order;
}

} // namespace

int main(int count, char **arguments)
{
	if (count < 2) {
		std::cerr << "usage: shuffle SOCKET [QUEUE]\n";
		return 2;
	}
	const auto connection = connect(arguments[1]);
	const std::size_t wanted = count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 10;

	// Never freed: this is what such a client holds as long as it runs.
	const auto &pool = *new std::vector<Song>{load(connection.get())};
	const auto &order = *new std::vector<std::size_t>{shuffle(pool.size())};

	for (std::size_t i = 0; i < wanted && i < order.size(); i++)
		if (!mpd_run_add(connection.get(), pool[order[i]].uri.c_str()))
			fail(connection.get());
	std::cout << "Picking random songs out of a pool of " << pool.size() << ".\n";
	return 0;
}
