/* Random distances, without the mathematical library: a program that does not use it is not to load it. */
#include "internal.h"

/* splitmix64: a counter, and a mixing of its bits. */
uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

#define LN2 0.693147180559945309417

double natural_logarithm(double x)
{
	union {
		double d;
		uint64_t u;
	} bits = {.d = x};
	int exponent = (int)((bits.u >> 52) & 0x7ff) - 1023;
	double s, square, term, sum = 0;

	bits.u = (bits.u & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000);
	if (bits.d > 1.41421356) {
		bits.d /= 2;
		exponent++;
	}
	/* ln m = 2 artanh((m - 1) / (m + 1)); |s| < 0.172, so nine terms leave less than 1e-15. */
	s = (bits.d - 1) / (bits.d + 1);
	square = s * s;
	term = s;
	for (int n = 1; n < 18; n += 2) {
		sum += term / n;
		term *= square;
	}
	return exponent * LN2 + 2 * sum;
}

double exponential_decay(double x)
{
	union {
		double d;
		uint64_t u;
	} scale;
	int halvings;
	double rest, term = 1, sum = 1;

	if (x > 700)
		return 0;
	halvings = (int)(x / LN2);
	rest = halvings * LN2 - x; /* in (-ln 2, 0] */
	for (int n = 1; n < 16; n++) {
		term *= rest / n;
		sum += term;
	}
	scale.u = (uint64_t)(1023 - halvings) << 52;
	return sum * scale.d;
}

/* Whole bytes: the distance is cut, not rounded, so that it is below n with probability 1 - exp(-n / mean) exactly. */
uint64_t draw_distance(uint64_t *state, uint64_t mean)
{
	double uniform = ((double)(next_random(state) >> 11) + 0.5) * 0x1p-53;

	return (uint64_t)(-natural_logarithm(uniform) * (double)mean);
}

uint64_t sample_weight(uint64_t bytes, uint64_t mean)
{
	double x = (double)bytes / (double)mean;

	/* For tiny x, 1 - exp(-x) loses its digits; bytes / p is then mean * (1 + x / 2 + ...). */
	if (x < 1e-4)
		return (uint64_t)((double)mean * (1 + x / 2));
	return (uint64_t)((double)bytes / (1 - exponential_decay(x)));
}
