package workdir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Ports are the loopback ports of a control plane.
type Ports struct {
	APIServer int `json:"kube-apiserver"`
	Etcd      int `json:"etcd"`
}

// ReservePorts returns the directory's ports, choosing free ones the first
// time. From then on no other process gets them while the calling process
// lives, not even while the API server is down: each is held by a socket that
// is bound, but does not listen. Only the components set SO_REUSEPORT and bind
// beside it.
func (d Dir) ReservePorts() (Ports, error) {
	file := d.File("ports.json")
	var ports Ports
	content, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := json.Unmarshal(content, &ports); err != nil {
			return Ports{}, fmt.Errorf("%s: %w", file, err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return Ports{}, err
	}

	for _, port := range []*int{&ports.APIServer, &ports.Etcd} {
		if *port, err = reserve(*port); err != nil {
			return Ports{}, err
		}
	}

	content, err = json.Marshal(ports)
	if err != nil {
		return Ports{}, err
	}
	return ports, writeFile(file, content)
}

// reserve binds a loopback port for the life of the process; 0 takes any free
// one.
func reserve(port int) (int, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	unix.CloseOnExec(socket)
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	// Not SO_REUSEADDR: any process that also sets it could bind here, and nearly
	// all do.
	if err := unix.Bind(socket, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, fmt.Errorf("port %d of this control plane's kubeconfig is in use: %w", port, err)
	}
	address, err := unix.Getsockname(socket)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	return address.(*unix.SockaddrInet4).Port, nil
}
