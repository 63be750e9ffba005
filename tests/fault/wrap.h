/*
 * wrap.h - names for the linker's --wrap: a function that stands in for another, and the one it stands in for.
 */
#ifndef TESTS_FAULT_WRAP_H
#define TESTS_FAULT_WRAP_H
#define INSTEAD_OF(symbol) __asm__("__wrap_" #symbol)
#define REAL(symbol)       __asm__("__real_" #symbol)
#endif
