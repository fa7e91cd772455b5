/* SPDX-License-Identifier: BSD-3-Clause
 * Each word tries one way out of the sandbox. The program ends with 0 if any way is open, and
 * with 1 if the system refuses all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_to_write(const char *path) { return open(path, O_WRONLY | O_CLOEXEC) >= 0; }

static int in_new_user_namespace(void)
{
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
}

static int has_capabilities(void)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    unsigned long long value, all = 0;
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "Cap%*[A-Za-z]: %llx", &value) == 1)
            all |= value;
    return all != 0;
}

static int push(unsigned long request)
{
    char byte = 'x';
    int done = 0;
    for (int fd = 0; fd < 3; fd++)
        done |= syscall(SYS_ioctl, fd, request, &byte) == 0;
    int tty = open("/dev/tty", O_RDWR);
    if (tty >= 0)
        done |= syscall(SYS_ioctl, tty, request, &byte) == 0;
    return done;
}

static int abstract_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path + 1, name);
    return connect(fd, (struct sockaddr *)&address,
                   offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)) == 0;
}

static int descriptor_outside(void)
{
    char path[64];
    struct stat outside;
    for (int fd = 3; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d/etc/passwd", fd);
        if (stat(path, &outside) == 0)
            return 1;
    }
    return 0;
}

static int try(const char *what, const char *with)
{
    if (!strcmp(what, "capabilities")) return has_capabilities();
    if (!strcmp(what, "tiocsti")) return push(TIOCSTI);
    if (!strcmp(what, "tiocsti-high-bits")) return push(TIOCSTI | 1UL << 32);
    if (!strcmp(what, "tioclinux")) return push(TIOCLINUX);
    if (!strcmp(what, "open")) return open_to_write(with);
    if (!strcmp(what, "open-after-unshare")) {
        in_new_user_namespace();
        mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL);
        umount2("/proc/sys", MNT_DETACH);
        return open_to_write(with);
    }
    if (!strcmp(what, "new-proc")) {
        int status;
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) != 0) return 0;
        if (!fork()) exit(mount("proc", "/tmp", "proc", 0, NULL) != 0);
        wait(&status);
        return WEXITSTATUS(status) == 0;
    }
    if (!strcmp(what, "remount")) {
        in_new_user_namespace();
        return mount(NULL, with, NULL, MS_REMOUNT | MS_BIND, NULL) == 0;
    }
    if (!strcmp(what, "mount")) return mount("none", "/tmp", "tmpfs", 0, NULL) == 0;
    if (!strcmp(what, "mknod")) return mknod("/tmp/disk", S_IFBLK | 0600, makedev(7, 0)) == 0;
    if (!strcmp(what, "chroot")) {
        struct stat outside;
        mkdir("/tmp/jail", 0755);
        if (chroot("/tmp/jail") != 0) return 0;
        return stat("../../../../etc/passwd", &outside) == 0;
    }
    if (!strcmp(what, "see")) return access(with, F_OK) == 0;
    if (!strcmp(what, "descriptor")) return descriptor_outside();
    if (!strcmp(what, "setns")) return setns(open("/proc/1/ns/mnt", O_RDONLY), 0) == 0;
    if (!strcmp(what, "ptrace")) return ptrace(PTRACE_ATTACH, atoi(with), NULL, NULL) == 0;
    if (!strcmp(what, "kill")) return kill(atoi(with), SIGKILL) == 0;
    if (!strcmp(what, "kill-group")) {
        signal(SIGTERM, SIG_IGN);
        kill(0, SIGTERM);
        return 0;
    }
    if (!strcmp(what, "keyring"))
        return syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 0) >= 0;
    if (!strcmp(what, "abstract-socket")) return abstract_socket(with);
    if (!strcmp(what, "shared-memory")) return shmget(atoi(with), 0, 0) >= 0;
    if (!strcmp(what, "write")) return open(with, O_CREAT | O_WRONLY, 0644) >= 0;
    if (!strcmp(what, "by-handle")) {
        struct { struct file_handle handle; char bytes[64]; } root = {.handle = {.handle_bytes = 8, .handle_type = 1}};
        int fd = open("/", O_RDONLY);
        root.bytes[0] = 2;
        return open_by_handle_at(fd, &root.handle, O_RDONLY) >= 0;
    }
    fprintf(stderr, "%s is not a way out\n", what);
    exit(99);
}

/* Try each "way" or "way=argument" in a separate process, and print which are open. */
int main(int argc, char **argv)
{
    int any_open = 0;
    signal(SIGTERM, SIG_IGN); /* for kill-group */
    for (int i = 1; i < argc; i++) {
        int status;
        fflush(stdout);
        if (!fork()) {
            char *with = strchr(argv[i], '=');
            if (with) *with++ = 0;
            exit(try(argv[i], with ? with : "") ? 0 : 1);
        }
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1) return 99;
        printf("%s %s\n", argv[i], WEXITSTATUS(status) ? "closed" : "open");
        any_open |= !WEXITSTATUS(status);
    }
    return !any_open;
}
