// Package kstatus checks that the library by which GitOps tools and kubectl
// judge objects sees in each status of ours what the operator means by it.
package kstatus

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// A line of testdata/states.jsonl, which the operator's own code writes.
type state struct {
	// How it came about.
	Story string `json:"story"`
	// Current, InProgress, Failed or Terminating.
	Means  string                    `json:"means"`
	Object unstructured.Unstructured `json:"object"`
}

func TestEveryStatusIsReadAsTheOperatorMeansIt(t *testing.T) {
	file, err := os.Open("testdata/states.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var state state
		if err := json.Unmarshal(lines.Bytes(), &state); err != nil {
			t.Fatal(err)
		}
		computed, err := status.Compute(&state.Object)
		if err != nil {
			t.Errorf("%s: %v", state.Story, err)
			continue
		}
		if computed.Status.String() != state.Means {
			t.Errorf("%s: means %s, and kstatus reads %s (%s)", state.Story, state.Means, computed.Status, computed.Message)
		}
		seen[state.Means]++
	}
	for _, means := range []string{"Current", "InProgress", "Failed", "Terminating"} {
		if seen[means] == 0 {
			t.Errorf("no state means %s: %v", means, seen)
		}
	}
}
