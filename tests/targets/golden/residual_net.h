/*
 * residual_net: a neural network compiled to a C library.
 *
 * Fill residual_net_inputs and residual_net_outputs with pointers to tensors, give residual_net_ARENA_BYTES bytes of working
 * memory, and call residual_net_run. The library allocates nothing and has no state: calls with different outputs and arenas
 * may run at the same time. Inputs, outputs and arena must not overlap. Tensors are dense, the last dimension varies
 * fastest. A quantized element stands for the real number SCALE * (code - ZERO_POINT).
 */
#ifndef residual_net_H
#define residual_net_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Working memory: its size in bytes, and what its address must be a multiple of. */
#define residual_net_ARENA_BYTES 1024
#define residual_net_ARENA_ALIGNMENT 16

/* What residual_net_run returns. */
#define residual_net_OK 0
#define residual_net_ERROR_NULL_POINTER 1 /* a pointer is NULL (the arena may be where it has 0 bytes) */
#define residual_net_ERROR_ARENA_ALIGNMENT 2 /* the arena's address is not a multiple of the alignment */
#define residual_net_ERROR_ARENA_SIZE 3 /* the arena has fewer than residual_net_ARENA_BYTES bytes */
#define residual_net_ERROR_BUFFER_ALIGNMENT 4 /* a tensor or the state is not aligned to its elements */
#define residual_net_ERROR_CPU 5 /* the processor lacks instructions that the code needs, or they are off */

/* Input image: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.05:-3>> */
#define residual_net_INPUT_image_RANK 4
#define residual_net_INPUT_image_SHAPE {1, 8, 8, 3}
#define residual_net_INPUT_image_SIZE 192
#define residual_net_INPUT_image_BYTES 192
#define residual_net_INPUT_image_SCALE 0.05f
#define residual_net_INPUT_image_ZERO_POINT (-3)

/* Output logits: tensor<1x10x!quant.uniform<i8:f32, 0.1:5>> */
#define residual_net_OUTPUT_logits_RANK 2
#define residual_net_OUTPUT_logits_SHAPE {1, 10}
#define residual_net_OUTPUT_logits_SIZE 10
#define residual_net_OUTPUT_logits_BYTES 10
#define residual_net_OUTPUT_logits_SCALE 0.1f
#define residual_net_OUTPUT_logits_ZERO_POINT 5

typedef struct {
    const int8_t *image; /* 1 x 8 x 8 x 3 */
} residual_net_inputs;

typedef struct {
    int8_t *logits; /* 1 x 10 */
} residual_net_outputs;

/*
 * Compute the outputs from the inputs. Returns residual_net_OK, or an error before anything is written.
 */
int residual_net_run(const residual_net_inputs *in, residual_net_outputs *out, void *arena);

/* The same for an arena of arena_bytes bytes, which is checked. */
int residual_net_run_within(const residual_net_inputs *in, residual_net_outputs *out, void *arena, size_t arena_bytes);

/*
 * Returns residual_net_OK where the processor can run the code, else residual_net_ERROR_CPU, as residual_net_run would. Here it can't tell: always residual_net_OK.
 */
int residual_net_check_cpu(void);

#ifdef __cplusplus
}
#endif

#endif
