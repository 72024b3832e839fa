package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	terminateTimeout = 5 * time.Second
	logTail          = 20 // lines
)

// A component is one running process of the control plane.
type component struct {
	name    string
	log     string
	process *exec.Cmd
	// The component ends when this is closed, which happens however this process
	// ends. (PR_SET_PDEATHSIG would do the same, but only on Linux, and only if
	// the thread that started the process is kept for good.)
	lifeline *os.File
	done     chan struct{}
}

// startComponent runs this binary's command of that name. The component is
// sent on ended when its process ends, for whatever reason.
func startComponent(name string, args []string, log string, ended chan<- *component) (*component, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	stdin, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()

	process := exec.Command(self, append([]string{name}, args...)...)
	process.Stdin, process.Stdout, process.Stderr = stdin, output, output
	// Ctrl-C is for the supervisor, which stops the others in order.
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := process.Start(); err != nil {
		lifeline.Close()
		return nil, err
	}

	c := &component{name: name, log: log, process: process, lifeline: lifeline, done: make(chan struct{})}
	go func() {
		_ = process.Wait() // the state says it all
		close(c.done)
		ended <- c
	}()
	return c, nil
}

// kill ends the component at once. Like terminate, it returns when the process
// has ended, and accepts a component that never started.
func (c *component) kill() {
	if c == nil {
		return
	}
	_ = c.process.Process.Kill()
	c.finish()
}

// terminate lets the component shut down cleanly, within limits.
func (c *component) terminate() {
	if c == nil {
		return
	}
	_ = c.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(terminateTimeout):
		_ = c.process.Process.Kill()
	}
	c.finish()
}

func (c *component) finish() {
	<-c.done
	c.lifeline.Close()
}

// obituary describes how a component ended that should be running.
func (c *component) obituary() error {
	content, err := os.ReadFile(c.log)
	if err != nil {
		content = []byte(err.Error())
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	lines = lines[max(0, len(lines)-logTail):]
	return fmt.Errorf("%s ended unexpectedly: %s; the end of %s:\n%s",
		c.name, c.process.ProcessState, c.log, strings.Join(lines, "\n"))
}
