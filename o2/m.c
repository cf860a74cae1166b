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

/* y: transpose */
static void m_k_y(const int8_t *restrict x, int8_t *restrict output) {
  for (int32_t i = 0; i < 2; ++i) {
    for (int32_t j = 0; j < 2; ++j) {
      for (int32_t k = 0; k < 2; ++k) {
        for (int32_t l = 0; l < 2; ++l) {
          for (int32_t m = 0; m < 2; ++m) {
            for (int32_t n = 0; n < 2; ++n) {
              for (int32_t o = 0; o < 2; ++o) {
                for (int32_t p = 0; p < 2; ++p) {
                  for (int32_t i8 = 0; i8 < 2; ++i8) {
                    int32_t shared_1 = (m * 16);
                    output[(((((((((i * 256) + (j * 128)) + (k * 64)) + (l * 32)) + shared_1) + (n * 8)) + (o * 4)) + (p * 2)) + i8)] = ((int8_t)((int32_t)x[(((((((((i8 * 256) + (p * 128)) + (o * 64)) + (n * 32)) + shared_1) + (l * 8)) + (k * 4)) + (j * 2)) + i)]));
                  }
                }
              }
            }
          }
        }
      }
    }
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
    /* y: transpose */
    m_k_y(in->x, out->y);
    return m_OK;
}
