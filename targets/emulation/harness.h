/* The parts of a program that runs a compiled model: the model's side, and files as the platform has them. */
#ifndef QCCHARNESS /* no model has a macro without an underscore behind its name */
#define QCCHARNESS

#include <stddef.h>
#include <stdint.h>

/* A tensor of the model: memory with room for a shifted start. */
typedef struct {
    uint8_t *memory;
    size_t bytes;
} harness_tensor;

/* The model, generated for each one. A model may be named `harness`: what is called harness_inputs is of its own. */
extern const harness_tensor harness_input_tensors[], harness_output_tensors[];
extern const size_t harness_input_count, harness_output_count;
/* Runs the model with all tensors `shift` bytes and the arena `arena_shift` bytes behind an aligned address. A
   negative arena_bytes stands for all that it needs; it is then not checked. */
int harness_call(size_t shift, size_t arena_shift, int32_t arena_bytes);

/* Files, one for each platform. Both return 1 where all bytes were transferred. */
int harness_read(void *data, size_t bytes);
int harness_write(const void *data, size_t bytes);

/* Where one run ends: marks the place for instruction counts. */
void harness_done(void);

#endif
