// Command control-plane is a Kubernetes control plane in one binary: the real
// etcd, kube-apiserver, kube-controller-manager and kubectl. It has no
// scheduler, no nodes and no pods. End-to-end tests and the demo run on it;
// README.md says how.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"whatsapp-operator.dev/tests/cluster/internal/workdir"
)

const usage = `usage:
  control-plane up --dir DIR [--exit-on-stdin-eof]   run a control plane until SIGTERM or SIGINT
  control-plane apiserver stop --dir DIR             take its API server away, as a crash would
  control-plane apiserver start --dir DIR            bring it back, at the same address
  control-plane kubectl ARGS...                      the kubectl of the same version
`

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" {
		kubectl()
		return
	}
	if len(os.Args) < 2 {
		fail(errors.New("say what to do\n" + usage))
	}

	// The command's arguments stay in os.Args as if the command were a separate
	// program.
	command := os.Args[1]
	os.Args = os.Args[1:]
	var err error
	switch command {
	case "up":
		err = up(os.Args[1:])
	case "apiserver":
		err = askAPIServer(os.Args[1:])
	case "kubectl":
		kubectl()
	case etcdName:
		err = runEtcd(os.Args[1:])
	case apiServerName:
		runAPIServer()
	case controllersName:
		runControllers()
	case "help", "-h", "--help":
		fmt.Print(usage)
	default:
		err = fmt.Errorf("unknown command %q\n%s", command, usage)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "control-plane:", err)
	os.Exit(1)
}

func up(args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	path := flags.String("dir", "", "the control plane's `directory`; created if it does not exist")
	untilEOF := flags.Bool("exit-on-stdin-eof", false, "also stop when standard input ends, so as not to outlive a test")
	dir, err := parse(flags, path, args)
	if err != nil {
		return err
	}
	ctx, stop := untilStopped(*untilEOF)
	defer stop()
	return supervise(ctx, dir)
}

func askAPIServer(args []string) error {
	if len(args) == 0 || (args[0] != stopAPIServer && args[0] != startAPIServer) {
		return errors.New("apiserver: say stop or start\n" + usage)
	}
	flags := flag.NewFlagSet("apiserver "+args[0], flag.ContinueOnError)
	path := flags.String("dir", "", "the `directory` of a running control plane")
	dir, err := parse(flags, path, args[1:])
	if err != nil {
		return err
	}
	return ask(dir, args[0])
}

func parse(flags *flag.FlagSet, path *string, args []string) (workdir.Dir, error) {
	if err := flags.Parse(args); err != nil {
		return "", err
	}
	if flags.NArg() > 0 {
		return "", fmt.Errorf("%s: unexpected argument %q", flags.Name(), flags.Arg(0))
	}
	return workdir.At(*path)
}
