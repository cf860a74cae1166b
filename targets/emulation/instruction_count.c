/* A QEMU plugin: how many instructions were executed between marked places.

   QEMU's own header is in no Debian package of version 7.2, so what is used of its interface (API version 1) is declared
   here. Arguments: out=FILE, marks=ADDRESS:ADDRESS:… in hexadecimal. Whenever the instruction at a marked address is
   about to be executed, a record of two 64-bit numbers is written: the address, and the instructions executed before.
   A marked address must begin a block, as the target of a call does. On Hexagon an instruction is a packet. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_INLINE_ADD_U64 = 0 };

typedef void (*tb_translated)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed)(unsigned int, void *);
typedef void (*at_exit)(qemu_plugin_id_t, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, tb_translated);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed, int, void *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, at_exit, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);

#define PUBLIC __attribute__((visibility("default")))
PUBLIC int qemu_plugin_version = 1;

static uint64_t count, *marks;
static size_t mark_count;
static FILE *out;

static void record(uint64_t address) {
    const uint64_t entry[2] = {address, count};
    fwrite(entry, sizeof entry, 1, out);
}

static void on_mark(unsigned int cpu, void *address) {
    (void)cpu;
    record((uint64_t)(uintptr_t)address);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    const uint64_t address = qemu_plugin_tb_vaddr(block);
    for (size_t i = 0; i < mark_count; ++i) {
        if (marks[i] == address) {
            qemu_plugin_register_vcpu_tb_exec_cb(block, on_mark, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)address);
        }
    }
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &count, qemu_plugin_tb_n_insns(block));
}

static void on_exit_of_program(qemu_plugin_id_t id, void *data) {
    (void)id;
    (void)data;
    record(0);
    fclose(out);
}

static void add_marks(const char *text) {
    marks = calloc(strlen(text) / 2 + 1, sizeof *marks);
    while (marks != NULL && *text != '\0') {
        char *end;
        marks[mark_count++] = strtoull(text, &end, 16);
        text = *end == ':' ? end + 1 : end;
    }
}

PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; ++i) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "wb");
        } else if (strncmp(argv[i], "marks=", 6) == 0) {
            add_marks(argv[i] + 6);
        }
    }
    if (out == NULL) {
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_program, NULL);
    return 0;
}
