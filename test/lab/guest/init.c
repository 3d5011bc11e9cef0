/* First process of the test guest, in the initramfs and after it: loads the modules of the boot path, mounts the root,
 * brings the links up (with a static address where the MAC carries one: 02:fe:a:b:c:d is a.b.c.d/24), starts
 * /etc/init.d/rc, then reaps orphans and obeys the power button and reboot, halt and poweroff.
 * In C, because under plain emulation each fork and exec of a shell costs 10 to 40 ms. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/input.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char cmdline[2048];

static void say(const char *text) { dprintf(1, "guest: %s\n", text); }

static int has_fault(const char *name) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "guest.fault=%s", name);
  return strstr(cmdline, wanted) != NULL;
}

static void load_module(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return;
  syscall(SYS_finit_module, fd, "", 0);
  close(fd);
}

/* Modules of the initramfs are named in the order of loading: x… for a paravirtual guest of Xen, a… for all others,
 * b… where there is no virtio disk. */
static void load_modules(char stage) {
  struct dirent **files;
  char path[300];
  int count = scandir("/modules", &files, 0, alphasort);
  for (int i = 0; i < count; i++) {
    if (files[i]->d_name[0] != stage) continue;
    snprintf(path, sizeof path, "/modules/%s", files[i]->d_name);
    load_module(path);
  }
}

static int mount_root(int wait_ms) {
  for (int ms = 0; ms <= wait_ms; ms += 2) {
    if (!mount("/dev/vda2", "/root", "ext4", MS_NOATIME, "")) return 1;
    if (!mount("/dev/sda2", "/root", "ext4", MS_NOATIME, "")) return 1;
    if (!mount("/dev/xvda2", "/root", "ext4", MS_NOATIME, "")) return 1;
    usleep(2000);
  }
  return 0;
}

static int open_console(void) {
  int fd = open("/dev/console", O_RDWR);
  for (int i = 0; fd >= 0 && i < 3; i++) dup2(fd, i);
  return fd;
}

static void bring_up(int s, const char *name, unsigned address, unsigned mask) {
  struct ifreq r = {0};
  struct sockaddr_in *a = (void *)&r.ifr_addr;
  strncpy(r.ifr_name, name, IFNAMSIZ - 1);
  if (address) {
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = address;
    ioctl(s, SIOCSIFADDR, &r);
    a->sin_addr.s_addr = mask;
    ioctl(s, SIOCSIFNETMASK, &r);
  }
  memset(&r.ifr_ifru, 0, sizeof r.ifr_ifru);
  ioctl(s, SIOCGIFFLAGS, &r);
  r.ifr_flags |= IFF_UP | IFF_RUNNING;
  ioctl(s, SIOCSIFFLAGS, &r);
}

/* Gratuitous ARP: who is asking for this address already sends at once, not after its next try a second later. */
static void announce(int s, const char *name, const unsigned char *mac, unsigned address) {
  struct { unsigned short hardware, protocol; unsigned char hl, pl; unsigned short op;
           unsigned char from_mac[6]; unsigned from; unsigned char to_mac[6]; unsigned to; } __attribute__((packed))
  question = {htons(1), htons(ETH_P_IP), 6, 4, htons(2), {0}, address, {255, 255, 255, 255, 255, 255}, address};
  struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_halen = 6};
  struct ifreq r = {0};
  strncpy(r.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(s, SIOCGIFINDEX, &r)) return;
  link.sll_ifindex = r.ifr_ifindex;
  memset(link.sll_addr, 255, 6);
  memcpy(question.from_mac, mac, 6);
  int p = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ARP));
  if (sendto(p, &question, sizeof question, 0, (void *)&link, sizeof link) < 0) say("no ARP");
  close(p);
}

static void bring_links_up(void) {
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  bring_up(s, "lo", htonl(0x7f000001), htonl(0xff000000));
  for (int i = 0; i < 8 && !has_fault("no-network"); i++) {
    struct ifreq r = {0};
    unsigned char mac[6];
    unsigned address = 0;
    snprintf(r.ifr_name, IFNAMSIZ, "eth%d", i);
    if (ioctl(s, SIOCGIFHWADDR, &r)) break;
    memcpy(mac, r.ifr_hwaddr.sa_data, 6);
    if (mac[0] == 2 && mac[1] == 0xfe) memcpy(&address, mac + 2, 4);
    char name[IFNAMSIZ];
    snprintf(name, sizeof name, "eth%d", i);
    bring_up(s, name, address, htonl(0xffffff00));
    if (address) announce(s, name, mac, address);
  }
  close(s);
}

static void read_file(const char *path, char *text, int size) {
  int fd = open(path, O_RDONLY), n = fd < 0 ? 0 : read(fd, text, size - 1);
  if (fd >= 0) close(fd);
  while (n > 0 && text[n - 1] <= ' ') n--;
  text[n < 0 ? 0 : n] = 0;
}

static pid_t start(char *const argv[]) {
  static char *environment[] = {"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TERM=linux", NULL};
  pid_t pid = fork();
  if (pid) return pid;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  execve(argv[0], argv, environment);
  _exit(127);
}

static void end_all(int how, const char *word) {
  say(word);
  kill(-1, SIGTERM);
  for (int ms = 0; ms < 300 && waitpid(-1, NULL, WNOHANG) >= 0; ms += 10) usleep(10000);
  kill(-1, SIGKILL);
  while (waitpid(-1, NULL, 0) > 0) {}
  sync();
  mount("", "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
  reboot(how);
}

/* What busybox's halt, poweroff and reboot send, what ctrl-alt-del sends, and dead children. */
static void obey_signal(int fd) {
  struct signalfd_siginfo signal;
  if (read(fd, &signal, sizeof signal) != sizeof signal) return;
  if (signal.ssi_signo == SIGCHLD) while (waitpid(-1, NULL, WNOHANG) > 0) {}
  if (signal.ssi_signo == SIGUSR1) end_all(RB_HALT_SYSTEM, "halt");
  if (signal.ssi_signo == SIGUSR2) end_all(RB_POWER_OFF, "power off");
  if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT) end_all(RB_AUTOBOOT, "reboot");
}

static void obey_button(int fd) {
  struct input_event event;
  if (read(fd, &event, sizeof event) != sizeof event) return;
  if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1) end_all(RB_POWER_OFF, "power button");
}

static void serve(sigset_t *signals) {
  struct pollfd fds[5] = {{.fd = signalfd(-1, signals, SFD_CLOEXEC), .events = POLLIN}};
  int count = 1;
  load_module("/lib/modules/button.ko");
  load_module("/lib/modules/evdev.ko");
  for (int i = 0; i < 4; i++) {
    char path[32];
    snprintf(path, sizeof path, "/dev/input/event%d", i);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
  }
  for (;;) {
    if (poll(fds, count, -1) < 0) continue;
    if (fds[0].revents) obey_signal(fds[0].fd);
    for (int i = 1; i < count; i++) if (fds[i].revents) obey_button(fds[i].fd);
  }
}

static int enter_root(void) {
  mkdir("/dev/pts", 0755);
  mkdir("/dev/shm", 01777);
  mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=666");
  mount("shm", "/dev/shm", "tmpfs", 0, "");
  mount("/dev", "/root/dev", 0, MS_MOVE, 0);
  mount("/proc", "/root/proc", 0, MS_MOVE, 0);
  if (chdir("/root") || mount("/root", "/", 0, MS_MOVE, 0) || chroot(".") || chdir("/")) return 0;
  mount("sys", "/sys", "sysfs", 0, "");
  mount("run", "/run", "tmpfs", 0, "mode=755");
  return 1;
}

int main(void) {
  sigset_t signals;
  sigfillset(&signals);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  mount("dev", "/dev", "devtmpfs", 0, "");
  mount("proc", "/proc", "proc", 0, "");
  open_console();
  read_file("/proc/cmdline", cmdline, sizeof cmdline);
  if (has_fault("panic")) return 1; /* the kernel panics when its first process ends */
  int on_xen = strstr(cmdline, "console=hvc0") != NULL;
  load_modules(on_xen ? 'x' : 'a');
  if (!mount_root(20)) {
    if (!on_xen) load_modules('b');
    if (!mount_root(5000)) {
      say("no root disk");
      return 1;
    }
  }
  if (!enter_root()) return 1;
  say("root mounted");
  char name[65];
  read_file("/etc/hostname", name, sizeof name);
  if (*name && sethostname(name, strlen(name))) say("no host name");
  reboot(RB_DISABLE_CAD);
  if (has_fault("slow")) sleep(20);
  bring_links_up();
  start((char *[]){"/bin/sh", "/etc/init.d/rc", NULL});
  serve(&signals);
}
