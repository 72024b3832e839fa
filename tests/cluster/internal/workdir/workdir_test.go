package workdir

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func newDir(t *testing.T) Dir {
	t.Helper()
	dir, err := At(filepath.Join(t.TempDir(), "control-plane"))
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Create(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return string(content)
}

func TestPortsAreTheSameForTheLifeOfADirectory(t *testing.T) {
	dir := newDir(t)
	first, err := dir.ReservePorts()
	must(t, err)
	again, err := dir.ReservePorts() // as a later supervisor would
	must(t, err)
	if first != again {
		t.Errorf("the ports were %v and are now %v", first, again)
	}
	if first.APIServer == first.Etcd {
		t.Errorf("one port for two components: %v", first)
	}
}

func TestNoOtherProcessGetsAReservedPort(t *testing.T) {
	ports, err := newDir(t).ReservePorts()
	must(t, err)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.APIServer))
	if listener, err := net.Listen("tcp", address); err == nil {
		listener.Close()
		t.Errorf("%s was free", address)
	}
	if connection, err := net.Dial("tcp", address); err == nil {
		connection.Close()
		t.Errorf("%s accepted a connection, though nothing serves there", address)
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	dir := newDir(t)
	must(t, os.WriteFile(dir.File("ports.json"), []byte(`{"kube-apiserver":`+port+`}`), 0o600))
	if _, err := dir.ReservePorts(); err == nil || !strings.Contains(err.Error(), port) {
		t.Errorf("want an error that names port %s, got %v", port, err)
	}
}

func TestCredentialsAreMadeOnceAndAreTheOwnersAlone(t *testing.T) {
	dir := newDir(t)
	must(t, dir.EnsureCredentials())
	before := read(t, dir.Tokens()) + read(t, dir.CACertificate())
	must(t, dir.EnsureCredentials())
	if read(t, dir.Tokens())+read(t, dir.CACertificate()) != before {
		t.Error("the second start made new credentials")
	}

	files, err := os.ReadDir(string(dir))
	must(t, err)
	for _, file := range files {
		info, err := file.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file.Name(), info.Mode())
		}
	}
}

func TestTheKubeconfigLetsAClientVerifyTheServer(t *testing.T) {
	dir := newDir(t)
	must(t, dir.EnsureCredentials())
	must(t, dir.WriteKubeconfig(dir.Kubeconfig(), Ports{APIServer: 6443}, AdminUser))
	kubeconfig := read(t, dir.Kubeconfig())

	token, err := dir.Token(AdminUser)
	must(t, err)
	for _, want := range []string{"server: https://127.0.0.1:6443\n", "token: " + token + "\n"} {
		if !strings.Contains(kubeconfig, want) {
			t.Errorf("no %q in\n%s", want, kubeconfig)
		}
	}

	encoded := regexp.MustCompile(`certificate-authority-data: (\S+)`).FindStringSubmatch(kubeconfig)[1]
	ca, err := base64.StdEncoding.DecodeString(encoded)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(dir.ServerCertificate(), dir.ServerKey())
	must(t, err)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "127.0.0.1"}); err != nil {
		t.Error(err)
	}
}

func TestUsersHaveTokensOfTheirOwn(t *testing.T) {
	dir := newDir(t)
	must(t, dir.EnsureCredentials())
	admin, err := dir.Token(AdminUser)
	must(t, err)
	controllers, err := dir.Token(ControllersUser)
	must(t, err)
	if admin == controllers {
		t.Error("one token for two users: the audit log could not tell them apart")
	}
	if _, err := dir.Token("nobody"); err == nil {
		t.Error("nobody has a token")
	}
}

func TestTheSocketWorksHoweverLongTheDirectorysPathIs(t *testing.T) {
	for _, length := range []int{1, 200} {
		dir := Dir(filepath.Join(t.TempDir(), strings.Repeat("d", length)))
		must(t, dir.Create())
		path, err := dir.NewSocket()
		must(t, err)
		listener, err := net.Listen("unix", path)
		must(t, err)
		connection, err := net.Dial("unix", dir.Socket())
		must(t, err)
		connection.Close()
		listener.Close()
		dir.RemoveSocket()
		if left, _ := os.ReadDir(string(dir)); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		if parent := filepath.Dir(path); parent != string(dir) && exists(parent) {
			t.Errorf("left behind: %s", parent)
		}
	}
}
