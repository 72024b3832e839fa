package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/component-base/version"

	"whatsapp-operator.dev/tests/cluster/internal/workdir"
)

const (
	startTimeout = 90 * time.Second // long enough for a machine that is also compiling
	pollInterval = 25 * time.Millisecond
)

// A supervisor runs one control plane. One goroutine owns it: it starts and
// stops the components, notices when one ends, and answers requests.
type supervisor struct {
	dir    workdir.Dir
	ports  workdir.Ports
	client *http.Client

	etcd, apiServer, controllers *component // nil while it is meant to be down
	ended                        chan *component
	requests                     chan request
}

// untilStopped is done on SIGTERM, on SIGINT and, if asked, when standard
// input ends.
func untilStopped(orEOF bool) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	if orEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	return ctx, stop
}

// supervise runs a control plane in dir until the context is done, or until a
// component ends on its own.
func supervise(ctx context.Context, dir workdir.Dir) error {
	s := &supervisor{dir: dir, ended: make(chan *component), requests: make(chan request)}
	if err := s.prepare(); err != nil {
		return err
	}
	control, err := listen(dir, s.requests)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	defer dir.RemoveSocket()
	defer control.Close()

	defer s.stop()
	err = s.start(ctx)
	if err == nil {
		err = s.serve(ctx)
	}
	if errors.Is(err, context.Canceled) {
		return nil // stopped on request
	}
	return err
}

// prepare fills the directory with what the components read.
func (s *supervisor) prepare() error {
	if err := s.dir.Create(); err != nil {
		return err
	}
	if err := s.dir.Lock(); err != nil {
		return err
	}
	// The kubeconfig exists only while the control plane is ready.
	if err := os.RemoveAll(s.dir.Kubeconfig()); err != nil {
		return err
	}
	for _, name := range []string{etcdName, apiServerName, controllersName} {
		if err := os.RemoveAll(s.dir.Log(name)); err != nil {
			return err
		}
	}
	var err error
	if s.ports, err = s.dir.ReservePorts(); err != nil {
		return err
	}
	if err := s.dir.EnsureCredentials(); err != nil {
		return err
	}
	if err := s.dir.WriteAuditPolicy(); err != nil {
		return err
	}
	if err := s.dir.WriteKubeconfig(s.dir.ControllersKubeconfig(), s.ports, workdir.ControllersUser); err != nil {
		return err
	}
	s.client, err = newClient(s.dir)
	return err
}

// start brings everything up and prints its address.
func (s *supervisor) start(ctx context.Context) (err error) {
	if s.etcd, err = s.run(etcdName, etcdArgs(s.dir, s.ports)); err != nil {
		return err
	}
	if err := s.startAPIServer(ctx); err != nil {
		return err
	}
	// The first thing that a pod or a token needs; the controllers create it.
	if err := s.await(ctx, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
		return err
	}
	if err := s.dir.WriteKubeconfig(s.dir.Kubeconfig(), s.ports, workdir.AdminUser); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		Kubeconfig string `json:"kubeconfig"`
		Server     string `json:"server"`
		Version    string `json:"version"`
	}{s.dir.Kubeconfig(), s.ports.Server(), version.Get().GitVersion})
}

// serve handles requests until the context is done or a component ends.
func (s *supervisor) serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-s.ended:
			if err := s.unexpected(c); err != nil {
				return err
			}
		case r := <-s.requests:
			err := s.handle(ctx, r.command)
			r.answer <- err
			if err != nil {
				return err
			}
		}
	}
}

func (s *supervisor) handle(ctx context.Context, command string) error {
	switch {
	case command == stopAPIServer && s.apiServer != nil:
		s.stopAPIServer()
	case command == startAPIServer && s.apiServer == nil:
		return s.startAPIServer(ctx)
	}
	return nil // already in that state
}

// startAPIServer returns when the API server is ready. The controllers start
// and stop with it. They can do nothing without it, and would take up to half
// a minute to notice that it is back, which every test would wait for.
func (s *supervisor) startAPIServer(ctx context.Context) (err error) {
	if s.apiServer, err = s.run(apiServerName, apiServerArgs(s.dir, s.ports)); err != nil {
		return err
	}
	if err := s.await(ctx, "/readyz"); err != nil {
		return err
	}
	s.controllers, err = s.run(controllersName, controllersArgs(s.dir))
	return err
}

func (s *supervisor) stopAPIServer() {
	s.apiServer.kill()
	s.controllers.kill()
	s.apiServer, s.controllers = nil, nil
}

// stop ends every component, the clients of each before it. Only etcd has
// state to save.
func (s *supervisor) stop() {
	s.controllers.kill()
	s.apiServer.kill()
	s.etcd.terminate()
}

func (s *supervisor) run(name string, args []string) (*component, error) {
	c, err := startComponent(name, args, s.dir.Log(name), s.ended)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// unexpected says why a component that should be running isn't.
func (s *supervisor) unexpected(c *component) error {
	if c != s.etcd && c != s.apiServer && c != s.controllers {
		return nil // it was stopped
	}
	return c.obituary()
}

// await polls a path of the API server until it exists.
func (s *supervisor) await(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("%s was not ready after %s; the logs are in %s", path, startTimeout, s.dir))
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case c := <-s.ended:
			if err := s.unexpected(c); err != nil {
				return err
			}
		case <-tick.C:
			if s.ok(ctx, path) {
				return nil
			}
		}
	}
}

func (s *supervisor) ok(ctx context.Context, path string) bool {
	// A server that accepts but does not answer must not hide that another
	// component has ended.
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ports.Server()+path, nil)
	if err != nil {
		return false
	}
	response, err := s.client.Do(get)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// newClient returns an administrator's client that trusts this control plane's
// CA.
func newClient(dir workdir.Dir) (*http.Client, error) {
	ca, err := os.ReadFile(dir.CACertificate())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	token, err := dir.Token(workdir.AdminUser)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: bearer{token, &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		// Never reuse a connection to a server that has since been killed.
		DisableKeepAlives: true,
	}}}, nil
}

type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(request)
}
