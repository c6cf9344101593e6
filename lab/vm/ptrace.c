/* Lets user-mode Linux run on processors whose register state is larger than the one that it was built for.
 *
 * Linux 6.1 as a user-mode kernel knows registers up to AVX-512 (2696 bytes) and writes just these. The machine's kernel takes only the
 * whole state (11008 bytes with AMX), and refuses the rest with EFAULT, at which the VM panics. Here what is missing is added, in its
 * initial state: nothing in the VM can use it, since nobody has asked the machine's kernel to permit that. Preloaded into the VM's process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
	LARGEST = 1 << 16,
	/* Where the state says which parts of it are not initial. */
	HEADER = 512,
	/* All parts within what the VM's kernel knows. */
	KNOWN_PARTS = 0x3ff,
};

typedef long call(enum __ptrace_request, pid_t, void *, void *);

static long write_whole(call *real, pid_t pid, void *kind, const struct iovec *given)
{
	static char state[LARGEST];
	static size_t size;
	struct iovec whole = { state, sizeof state };
	uint64_t parts;

	if (!size) {
		/* What is there now tells how much the machine's kernel wants. */
		if (real(PTRACE_GETREGSET, pid, kind, &whole) < 0)
			return -1;
		size = whole.iov_len;
		memset(state, 0, sizeof state);
	}
	if (given->iov_len >= size || given->iov_len < HEADER + sizeof parts)
		return real(PTRACE_SETREGSET, pid, kind, (void *)given);
	whole.iov_len = size;
	memcpy(state, given->iov_base, given->iov_len);
	memcpy(&parts, state + HEADER, sizeof parts);
	parts &= KNOWN_PARTS;
	memcpy(state + HEADER, &parts, sizeof parts);
	return real(PTRACE_SETREGSET, pid, kind, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	static call *real;
	va_list words;
	pid_t pid;
	void *where, *what;

	if (!real)
		real = (call *)dlsym(RTLD_NEXT, "ptrace");
	va_start(words, request);
	pid = va_arg(words, pid_t);
	where = va_arg(words, void *);
	what = va_arg(words, void *);
	va_end(words);
	if (request == PTRACE_SETREGSET && (uintptr_t)where == NT_X86_XSTATE)
		return write_whole(real, pid, where, what);
	return real(request, pid, where, what);
}
