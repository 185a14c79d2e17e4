/* What limit needs in place of a libc: system calls, a clone3 that shares memory, a little text, and one way to fail. */
#pragma once
#include <asm/unistd.h>
#include <linux/sched.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned long word;

#if defined(__x86_64__)
static inline long call6(long n, word a, word b, word c, word d, word e, word f) {
	register word r10 __asm__("r10") = d;
	register word r8 __asm__("r8") = e;
	register word r9 __asm__("r9") = f;
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return r;
}

/* clone3; the new process runs `body` on its own stack and never returns from it. */
static long clone3(struct clone_args *args, void (*body)(void)) {
	register void (*fn)(void) __asm__("r12") = body;
	long r;
	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tcall *%[fn]\n\tud2\n1:"
	                 : "=a"(r) : "a"(__NR_clone3), "D"(args), "S"(sizeof *args), [fn] "r"(fn)
	                 : "rcx", "r11", "memory");
	return r;
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall entry\n\tud2\n");
#elif defined(__aarch64__)
static inline long call6(long n, word a, word b, word c, word d, word e, word f) {
	register word x8 __asm__("x8") = n;
	register word x0 __asm__("x0") = a;
	register word x1 __asm__("x1") = b;
	register word x2 __asm__("x2") = c;
	register word x3 __asm__("x3") = d;
	register word x4 __asm__("x4") = e;
	register word x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

static long clone3(struct clone_args *args, void (*body)(void)) {
	register word x8 __asm__("x8") = __NR_clone3;
	register word x0 __asm__("x0") = (word)args;
	register word x1 __asm__("x1") = sizeof *args;
	register void (*fn)(void) __asm__("x19") = body;
	__asm__ volatile("svc #0\n\tcbnz x0, 1f\n\tmov x29, #0\n\tblr %[fn]\n\tbrk #1\n1:"
	                 : "+r"(x0) : "r"(x8), "r"(x1), [fn] "r"(fn) : "memory", "x30");
	return x0;
}

__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tbl entry\n\tbrk #1\n");
#else
#error "limit knows x86_64 and aarch64"
#endif

#define ARG(x) ((word)(x))
#define call0(n) call6(n, 0, 0, 0, 0, 0, 0)
#define call1(n, a) call6(n, ARG(a), 0, 0, 0, 0, 0)
#define call2(n, a, b) call6(n, ARG(a), ARG(b), 0, 0, 0, 0)
#define call3(n, a, b, c) call6(n, ARG(a), ARG(b), ARG(c), 0, 0, 0)
#define call4(n, a, b, c, d) call6(n, ARG(a), ARG(b), ARG(c), ARG(d), 0, 0)
#define call5(n, a, b, c, d, e) call6(n, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), 0)

enum { ENOENT_ = 2, CLONE_SIGNAL = 17 /* SIGCHLD */ };

void *memcpy(void *to, const void *from, size_t n) {
	char *t = to;
	const char *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int value, size_t n) {
	char *t = to;
	while (n--)
		*t++ = (char)value;
	return to;
}

static size_t length(const char *s) {
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

static int same(const char *a, const char *b) {
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static const char *last_component(const char *path) {
	const char *last = path;
	for (; *path; path++)
		if (*path == '/')
			last = path + 1;
	return last;
}

static char *append(char *to, const char *from) {
	while ((*to = *from++))
		to++;
	return to;
}

static char *append_number(char *to, word n) {
	char digits[24], *d = digits + sizeof digits;
	*--d = 0;
	do
		*--d = (char)('0' + n % 10);
	while (n /= 10);
	return append(to, d);
}

static _Noreturn void leave(int status) {
	for (;;)
		call1(__NR_exit_group, status);
}

/* Every failure ends here: what was attempted and the errno; nothing is undone. */
static _Noreturn void fail(const char *what, long error) {
	char text[256], *end = append(text, "limit: ");
	for (const char *w = what; *w && end < text + 200; w++)
		*end++ = *w;
	end = append_number(append(end, ": errno "), (word)-error);
	end = append(end, "\n");
	call3(__NR_write, 2, text, end - text);
	leave(1);
}

static long must(long result, const char *what) {
	if (result < 0 && result > -4096)
		fail(what, result);
	return result;
}
