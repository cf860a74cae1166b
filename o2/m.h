/*
 * m: a neural network compiled to a C library.
 *
 * Fill m_inputs and m_outputs with pointers to tensors, give m_ARENA_BYTES bytes of working
 * memory, and call m_run. The library allocates nothing and has no state: calls with different outputs and arenas
 * may run at the same time. Inputs, outputs and arena must not overlap. Tensors are dense, the last dimension varies
 * fastest. A quantized element stands for the real number SCALE * (code - ZERO_POINT).
 */
#ifndef m_H
#define m_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Working memory: its size in bytes, and what its address must be a multiple of. */
#define m_ARENA_BYTES 0
#define m_ARENA_ALIGNMENT 16

/* What m_run returns. */
#define m_OK 0
#define m_ERROR_NULL_POINTER 1 /* a pointer is NULL (the arena may be where it has 0 bytes) */
#define m_ERROR_ARENA_ALIGNMENT 2 /* the arena's address is not a multiple of the alignment */

/* Input x: tensor<2x2x2x2x2x2x2x2x2xi8> */
#define m_INPUT_x_RANK 9
#define m_INPUT_x_SHAPE {2, 2, 2, 2, 2, 2, 2, 2, 2}
#define m_INPUT_x_SIZE 512
#define m_INPUT_x_BYTES 512

/* Output y: tensor<2x2x2x2x2x2x2x2x2xi8> */
#define m_OUTPUT_y_RANK 9
#define m_OUTPUT_y_SHAPE {2, 2, 2, 2, 2, 2, 2, 2, 2}
#define m_OUTPUT_y_SIZE 512
#define m_OUTPUT_y_BYTES 512

typedef struct {
    const int8_t *x; /* 2 x 2 x 2 x 2 x 2 x 2 x 2 x 2 x 2 */
} m_inputs;

typedef struct {
    int8_t *y; /* 2 x 2 x 2 x 2 x 2 x 2 x 2 x 2 x 2 */
} m_outputs;

/*
 * Compute the outputs from the inputs. Returns m_OK, or an error before anything is written.
 */
int m_run(const m_inputs *in, m_outputs *out, void *arena);

#ifdef __cplusplus
}
#endif

#endif
