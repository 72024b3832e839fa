package workdir

import (
	"encoding/base64"
	"fmt"
	"os"
)

// The values are a URL, base64 and letters: nothing that YAML would quote.
const kubeconfigTemplate = `apiVersion: v1
kind: Config
clusters:
  - name: control-plane
    cluster:
      server: %s
      certificate-authority-data: %s
users:
  - name: user
    user:
      token: %s
contexts:
  - name: control-plane
    context:
      cluster: control-plane
      user: user
current-context: control-plane
`

// Server is the API server's address.
func (p Ports) Server() string { return fmt.Sprintf("https://127.0.0.1:%d", p.APIServer) }

// WriteKubeconfig writes a user's kubeconfig for the API server's address. The
// file is self-contained, so it may be copied anywhere.
func (d Dir) WriteKubeconfig(path string, ports Ports, user string) error {
	ca, err := os.ReadFile(d.CACertificate())
	if err != nil {
		return err
	}
	token, err := d.Token(user)
	if err != nil {
		return err
	}
	content := fmt.Sprintf(kubeconfigTemplate, ports.Server(), base64.StdEncoding.EncodeToString(ca), token)
	return writeFile(path, []byte(content))
}
