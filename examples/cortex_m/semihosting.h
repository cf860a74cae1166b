/* Semihosting: text and files through a debugger or an emulator, Arm's specification 2.0. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>

/* Write a text to the host's console. */
void semihosting_write(const char *text);

/* Open a file of the host for writing bytes; a handle, or −1. */
int semihosting_create(const char *path);

/* Append bytes to an open file; how many were not written. */
size_t semihosting_append(int file, const void *data, size_t size);

/* Close an open file. */
void semihosting_close(int file);

/* End the program; the emulator ends with this status. */
_Noreturn void semihosting_exit(int status);

#endif
