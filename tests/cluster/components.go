package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the authentication plugins that a kubeconfig may name
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	"whatsapp-operator.dev/tests/cluster/internal/workdir"
)

// Each component is a command of this binary, hidden from its usage, which the
// supervisor runs as a process of its own. One process would start no faster,
// and could not lose its API server alone.
const (
	etcdName        = "etcd"
	apiServerName   = "kube-apiserver"
	controllersName = "kube-controller-manager"
)

// The issuer of kubeadm and most managed clusters.
const issuer = "https://kubernetes.default.svc.cluster.local"

// Tests wait for the controllers, so these are short.
const (
	controllersQPS   = 500
	controllersBurst = 1000
)

func etcdArgs(dir workdir.Dir, ports workdir.Ports) []string {
	return []string{
		"--data-dir=" + dir.EtcdData(),
		"--client-url=" + etcdURL(ports),
	}
}

func etcdURL(ports workdir.Ports) string { return fmt.Sprintf("http://127.0.0.1:%d", ports.Etcd) }

func apiServerArgs(dir workdir.Dir, ports workdir.Ports) []string {
	return []string{
		"--etcd-servers=" + etcdURL(ports),
		"--etcd-compaction-interval=0", // nothing lives long enough for it

		// The address is given, not looked up, so that no network is needed. The
		// supervisor holds the port as well.
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(ports.APIServer),
		"--permit-port-sharing",
		"--tls-cert-file=" + dir.ServerCertificate(),
		"--tls-private-key-file=" + dir.ServerKey(),

		"--token-auth-file=" + dir.Tokens(),
		"--authorization-mode=RBAC",
		"--service-account-issuer=" + issuer,
		"--service-account-key-file=" + dir.ServiceAccountKey(),
		"--service-account-signing-key-file=" + dir.ServiceAccountKey(),

		// No node will ever route to a Service.
		"--service-cluster-ip-range=10.0.0.0/24",
		"--endpoint-reconciler-type=none",

		// A write is in the log before its caller gets the answer, and the log stays
		// in one file.
		"--audit-policy-file=" + dir.AuditPolicy(),
		"--audit-log-path=" + dir.AuditLog(),
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=1000000",

		"--profiling=false",
	}
}

func controllersArgs(dir workdir.Dir) []string {
	return []string{
		"--kubeconfig=" + dir.ControllersKubeconfig(),
		"--service-account-private-key-file=" + dir.ServiceAccountKey(),
		"--root-ca-file=" + dir.CACertificate(),
		// The garbage collector runs as well: see garbage.go. Without the
		// aggregation, the roles admin, edit and view would permit nothing.
		"--controllers=namespace-controller,serviceaccount-controller," +
			"serviceaccount-token-controller,clusterrole-aggregation-controller",
		// There is only one instance, and its metrics and health are not read.
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=" + strconv.Itoa(controllersQPS),
		"--kube-api-burst=" + strconv.Itoa(controllersBurst),
		"--profiling=false",
	}
}

func runEtcd(args []string) error {
	flags := flag.NewFlagSet(etcdName, flag.ContinueOnError)
	dataDir := flags.String("data-dir", "", "")
	clientURL := flags.String("client-url", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client, err := url.Parse(*clientURL)
	if err != nil {
		return err
	}

	config := embed.NewConfig()
	config.Dir = *dataDir
	config.ListenClientUrls = []url.URL{*client}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = nil
	config.SocketOpts.ReusePort = true // the supervisor holds the port as well
	config.UnsafeNoFsync = true        // the data is worth nothing after a power cut
	config.LogLevel = "warn"
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	// The only member elects itself as soon as it has waited for the others.
	config.TickMs, config.ElectionMs = 20, 100

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { awaitSupervisorsEnd(); stop() }()

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer etcd.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-etcd.Err():
		return err
	}
}

func runAPIServer() { runComponent(apiserver.NewAPIServerCommand()) }

func runControllers() {
	command := controllermanager.NewControllerManagerCommand()
	run := command.RunE
	command.RunE = func(command *cobra.Command, args []string) error {
		kubeconfig, err := command.Flags().GetString("kubeconfig")
		if err != nil {
			return err
		}
		failed := make(chan error, 2)
		go func() { failed <- collectGarbage(command.Context(), kubeconfig) }()
		go func() { failed <- run(command, args) }()
		return <-failed
	}
	runComponent(command)
}

func runComponent(command *cobra.Command) {
	go func() { awaitSupervisorsEnd(); os.Exit(1) }()
	os.Exit(cli.Run(command))
}

// awaitSupervisorsEnd returns when the supervisor is gone, be it by SIGKILL:
// it holds the other end of each component's standard input and never writes.
func awaitSupervisorsEnd() { _, _ = io.Copy(io.Discard, os.Stdin) }

func kubectl() {
	// kubectl logs while it builds its commands, before it parses its flags.
	_, _ = logs.GlogSetter(kubectlcmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectlcmd.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
