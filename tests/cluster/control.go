package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"whatsapp-operator.dev/tests/cluster/internal/workdir"
)

// The control socket carries one command per connection: one line with the
// command, one line with the answer. An empty answer means success.
const (
	stopAPIServer  = "stop"
	startAPIServer = "start"
)

type request struct {
	command string
	answer  chan error
}

// listen accepts commands on the directory's socket and passes them on.
func listen(dir workdir.Dir, requests chan<- request) (io.Closer, error) {
	path, err := dir.NewSocket()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go answer(connection, requests)
		}
	}()
	return listener, nil
}

func answer(connection net.Conn, requests chan<- request) {
	defer connection.Close()
	command, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return // asked nothing
	}
	r := request{strings.TrimSpace(command), make(chan error, 1)}
	requests <- r
	message := ""
	if err := <-r.answer; err != nil {
		message = err.Error()
	}
	fmt.Fprintf(connection, "%q\n", message)
}

// ask sends a command to the supervisor of dir, and waits until it is done.
func ask(dir workdir.Dir, command string) error {
	connection, err := net.Dial("unix", dir.Socket())
	if err != nil {
		return fmt.Errorf("no control plane is running in %s: %w", dir, err)
	}
	defer connection.Close()
	if _, err := fmt.Fprintln(connection, command); err != nil {
		return err
	}
	var message string
	if _, err := fmt.Fscanf(connection, "%q\n", &message); err != nil {
		return fmt.Errorf("the control plane in %s ended meanwhile: %w", dir, err)
	}
	if message != "" {
		return errors.New(message)
	}
	return nil
}
