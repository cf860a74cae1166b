/* A handwritten digit is classified: the model of `qcc demo` on a bare Cortex-M.

   Your own model: include its header, fill its inputs, read its outputs; names and sizes are in the header. */
#include "digits.h"
#include "semihosting.h"

/* 8 x 8 pixels of 0 to 16, the first of the demo's test images. */
static const uint8_t pixels[digits_INPUT_image_SIZE] = {
#include "image.inc"
};

static int8_t image[digits_INPUT_image_SIZE], logits[digits_OUTPUT_logits_SIZE];
static uint8_t arena[digits_ARENA_BYTES] __attribute__((aligned(digits_ARENA_ALIGNMENT)));

/* Write a name and a number in decimal. */
static void write_number(const char *name, int value) {
    char text[16], *place = text + sizeof text;
    unsigned rest = value < 0 ? 0u - (unsigned)value : (unsigned)value;
    *--place = '\0';
    *--place = '\n';
    do {
        *--place = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) {
        *--place = '-';
    }
    semihosting_write(name);
    semihosting_write(place);
}

int main(void) {
    if (digits_INPUT_image_SCALE * 255.0f < 0.999f || digits_INPUT_image_SCALE * 255.0f > 1.001f) {
        semihosting_write("SCALE is not 1 / 255: calibrate with pixels divided by 16\n");
        return 1;
    }
    /* A pixel p is the real number p / 16; SCALE is 1 / 255, so the code is p * 255 / 16 + ZERO_POINT, rounded. */
    for (int i = 0; i < digits_INPUT_image_SIZE; ++i) {
        image[i] = (int8_t)((pixels[i] * 255 + 8) / 16 + digits_INPUT_image_ZERO_POINT);
    }
    const digits_inputs in = {image};
    digits_outputs out = {logits};
    const int status = digits_run_within(&in, &out, arena, sizeof arena);
    if (status != digits_OK) {
        write_number("digits_run: error ", status);
        return 1;
    }
    int best = 0;
    for (int i = 0; i < digits_OUTPUT_logits_SIZE; ++i) {
        write_number("logit ", logits[i]);
        best = logits[i] > logits[best] ? i : best;
    }
    write_number("digit ", best);
    return 0;
}
