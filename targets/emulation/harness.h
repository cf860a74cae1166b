/* The parts of a program that runs a compiled model: the model's side, and files as the platform has them. */
#ifndef QCCHARNESS /* no model has a macro without an underscore behind its name */
#define QCCHARNESS

#include <stddef.h>
#include <stdint.h>

/* Numbers that the emulation's Python code knows too. */
enum {
    HARNESS_ROOM = 256,              /* bytes before and behind each memory, less its shift behind it */
    HARNESS_FRESH = 0xA5,            /* each byte of memory that the model has not written */
    HARNESS_OUTSIDE = 0x10000,       /* plus the number of a memory: status of a call that wrote around it */
    HARNESS_DESPITE_ERROR = 0x20000, /* the same: the call returned an error, yet wrote this output */
};

/* A tensor of the model, HARNESS_ROOM bytes and the shift behind `memory`. */
typedef struct {
    uint8_t *memory;
    size_t bytes;
} harness_tensor;

/* What the model is given to work in: it keeps inputs and states, and finds outputs and arena fresh. */
typedef struct {
    uint8_t *memory;
    size_t bytes;
    enum { HARNESS_KEPT, HARNESS_OUTPUT, HARNESS_ARENA } kind;
} harness_memory;

/* The model, generated for each one. A model may be named `harness`: what is called harness_inputs is of its own. */
extern const harness_tensor harness_input_tensors[], harness_output_tensors[];
extern const harness_memory harness_memories[];
extern const size_t harness_input_count, harness_output_count, harness_memory_count;
/* Runs the model with all tensors `shift` bytes and the arena `arena_shift` bytes behind an aligned address. A
   negative arena_bytes stands for all that it needs; it is then not checked. */
int harness_call(size_t shift, size_t arena_shift, int32_t arena_bytes);

/* Files, one for each platform. Both return 1 where all bytes were transferred. */
int harness_read(void *data, size_t bytes);
int harness_write(const void *data, size_t bytes);

/* Where one run ends: marks the place for instruction counts. */
void harness_done(void);

#endif
