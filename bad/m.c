/* m: the code and the weights of a compiled neural network. See m.h for its use. */
#include "m.h"

#include <stddef.h>
#include <string.h>

#if defined(__GNUC__)
#define QCC_ALIGNED __attribute__((aligned(16)))
#else
#define QCC_ALIGNED
#endif

/* Right shifts of negative numbers must be arithmetic (implementation-defined in C99). */
typedef char qcc_arithmetic_shift[((-1) >> 1) == -1 ? 1 : -1];

/* y: clamp */
static void m_k_y(const int8_t *restrict x, int8_t *restrict output) {
  for (int32_t i = 0; i < 4; ++i) {
    int32_t bound = (int32_t)x[i];
    int32_t clamped = ((bound) < (5) ? (bound) : (5));
    output[i] = ((int8_t)clamped);
  }
}

int m_run(const m_inputs *in, m_outputs *out, void *arena) {
    if (in == NULL || out == NULL) {
        return m_ERROR_NULL_POINTER;
    }
    if (in->x == NULL || out->y == NULL) {
        return m_ERROR_NULL_POINTER;
    }
    (void)arena;
    /* y: clamp */
    m_k_y(in->x, out->y);
    return m_OK;
}
