// Package workdir lays out and fills the directory that one control plane
// lives in: keys, tokens, ports, policies and the kubeconfig. Everything in it
// is readable by its owner alone, and all but the logs outlives a restart, so
// that the same directory always means the same cluster at the same address.
//
// It does not depend on Kubernetes' own code, which keeps its tests quick.
package workdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Dir is the absolute path of a control plane's directory.
type Dir string

// At names a control plane's directory. It makes the path absolute, because
// not all components run in the caller's directory.
func At(path string) (Dir, error) {
	if path == "" {
		return "", errors.New("--dir is missing: name the control plane's directory")
	}
	absolute, err := filepath.Abs(path)
	return Dir(absolute), err
}

// Create creates the directory unless it exists.
func (d Dir) Create() error { return os.MkdirAll(string(d), 0o700) }

// File is the path of a file in the directory.
func (d Dir) File(name string) string { return filepath.Join(string(d), name) }

// Log is the path of a component's log.
func (d Dir) Log(component string) string { return d.File(component + ".log") }

// The files that are used in more than one place.
func (d Dir) Kubeconfig() string            { return d.File("kubeconfig") }
func (d Dir) ControllersKubeconfig() string { return d.File("kube-controller-manager.kubeconfig") }
func (d Dir) CACertificate() string         { return d.File("ca.crt") }
func (d Dir) ServerCertificate() string     { return d.File("kube-apiserver.crt") }
func (d Dir) ServerKey() string             { return d.File("kube-apiserver.key") }
func (d Dir) ServiceAccountKey() string     { return d.File("service-account.key") }
func (d Dir) Tokens() string                { return d.File("tokens.csv") }
func (d Dir) AuditPolicy() string           { return d.File("audit-policy.yaml") }
func (d Dir) AuditLog() string              { return d.File("audit.log") }
func (d Dir) EtcdData() string              { return d.File("etcd") }

// Lock makes the caller the directory's only supervisor for as long as its
// process lives; the kernel releases the lock however the process ends.
func (d Dir) Lock() error {
	fd, err := unix.Open(d.File("lock"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", d.File("lock"), err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("a control plane already runs in %s", d)
	}
	return nil
}

// writeFile replaces a file in one step: a reader sees the old content or the
// new, never half of it.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
