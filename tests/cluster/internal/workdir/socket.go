package workdir

import (
	"os"
	"path/filepath"
)

// The kernel accepts no socket with a longer path (104 on macOS, 108 on Linux,
// including the terminating zero).
const longestSocket = 100

// NewSocket returns a path to listen at. If the directory's own path is too
// long, it becomes a link to a short one.
func (d Dir) NewSocket() (string, error) {
	link := d.socketLink()
	d.RemoveSocket()
	if len(link) <= longestSocket {
		return link, nil
	}
	short, err := os.MkdirTemp("/tmp", "control-plane-") // TMPDIR may be long as well
	if err != nil {
		return "", err
	}
	socket := filepath.Join(short, "socket")
	return socket, os.Symlink(socket, link)
}

// Socket is the path to connect to.
func (d Dir) Socket() string {
	link := d.socketLink()
	if target, err := os.Readlink(link); err == nil {
		return target
	}
	return link
}

// RemoveSocket removes what NewSocket created, even in a run that was killed.
func (d Dir) RemoveSocket() {
	if target, err := os.Readlink(d.socketLink()); err == nil {
		_ = os.Remove(target)
		_ = os.Remove(filepath.Dir(target))
	}
	_ = os.Remove(d.socketLink())
}

func (d Dir) socketLink() string { return d.File("control.sock") }
