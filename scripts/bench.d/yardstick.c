/*
 * The least that a file system in user space can do: one file of a directory, served by pread and reply, with as
 * many threads as libfuse likes (or one). What raidfs is measured against.
 *
 *     yardstick FILE MOUNTPOINT [single]
 */
#define FUSE_USE_VERSION 312
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_INODE = 2, BUFFER = 1 << 20 };
static const char name[] = "array.img";
static int backing;
static struct stat shown;
static __thread char *buffer;

static int describe(fuse_ino_t inode, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_ino = inode;
	st->st_nlink = 1;
	if (inode == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0555;
	} else if (inode == FILE_INODE) {
		st->st_mode = S_IFREG | 0444;
		st->st_size = shown.st_size;
	} else {
		return -1;
	}
	return 0;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *wanted)
{
	struct fuse_entry_param entry = {.ino = FILE_INODE, .attr_timeout = 86400, .entry_timeout = 86400};

	if (parent != FUSE_ROOT_ID || strcmp(wanted, name) != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	describe(FILE_INODE, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void on_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct stat st;

	(void)info;
	if (describe(inode, &st) != 0)
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_attr(req, &st, 86400);
}

static void on_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
	if (inode != FILE_INODE) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	info->keep_cache = 1;
	fuse_reply_open(req, info);
}

static void on_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info)
{
	ssize_t n;

	(void)inode;
	(void)info;
	if (buffer == NULL && posix_memalign((void **)&buffer, 4096, BUFFER) != 0) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = pread(backing, buffer, size < BUFFER ? size : BUFFER, offset);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, buffer, (size_t)n);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = on_lookup,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
};

int main(int argc, char **argv)
{
	char *words[] = {argv[0], "-o", "ro,fsname=yardstick"};
	struct fuse_args args = FUSE_ARGS_INIT(3, words);
	struct fuse_loop_config *config;
	struct fuse_session *session;
	int failed;

	if (argc < 3 || (backing = open(argv[1], O_RDONLY | O_CLOEXEC)) < 0 || fstat(backing, &shown) != 0) {
		fprintf(stderr, "usage: yardstick FILE MOUNTPOINT [single]\n");
		return 2;
	}
	session = fuse_session_new(&args, &operations, sizeof operations, NULL);
	if (session == NULL || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, argv[2]) != 0)
		return 1;
	if (argc > 3) {
		failed = fuse_session_loop(session);
	} else {
		config = fuse_loop_cfg_create();
		failed = fuse_session_loop_mt(session, config);
		fuse_loop_cfg_destroy(config);
	}
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return failed < 0;
}
