package workdir

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// Users with every permission. They have separate names, so that the audit log
// distinguishes a person's or a test's writes from the controllers'.
const (
	AdminUser       = "admin"
	ControllersUser = "system:kube-controller-manager"
)

const validity = 10 * 365 * 24 * time.Hour

// EnsureCredentials creates the certificates, keys and tokens unless the
// directory already has them.
func (d Dir) EnsureCredentials() error {
	// The tokens are written last, so if they exist, everything does.
	if exists(d.Tokens()) {
		return nil
	}
	if err := d.writeCertificates(); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	serviceAccountKey, err := newKey()
	if err != nil {
		return err
	}
	if err := writeKey(d.ServiceAccountKey(), serviceAccountKey); err != nil {
		return err
	}

	var tokens strings.Builder
	for _, user := range []string{AdminUser, ControllersUser} {
		fmt.Fprintf(&tokens, "%s,%s,%s,system:masters\n", rand.Text(), user, user)
	}
	return writeFile(d.Tokens(), []byte(tokens.String()))
}

// Token finds a user's token.
func (d Dir) Token(user string) (string, error) {
	content, err := os.ReadFile(d.Tokens())
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Split(line, ","); len(fields) > 1 && fields[1] == user {
			return fields[0], nil
		}
	}
	return "", fmt.Errorf("%s has no token for %s", d.Tokens(), user)
}

// writeCertificates creates a CA and the API server's certificate. The CA's
// key is not kept, because it has nothing else to sign.
func (d Dir) writeCertificates() error {
	caKey, err := newKey()
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "control-plane-ca"},
		NotBefore:             now.Add(-time.Hour), // for a client whose clock is behind
		NotAfter:              now.Add(validity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}

	serverKey, err := newKey()
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "kube-apiserver"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		// Strict clients refuse a certificate that does not name its issuer's key.
		AuthorityKeyId: ca.SubjectKeyId,
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, ca, serverKey.Public(), caKey)
	if err != nil {
		return err
	}

	if err := writePEM(d.CACertificate(), "CERTIFICATE", caDER); err != nil {
		return err
	}
	if err := writePEM(d.ServerCertificate(), "CERTIFICATE", serverDER); err != nil {
		return err
	}
	return writeKey(d.ServerKey(), serverKey)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
