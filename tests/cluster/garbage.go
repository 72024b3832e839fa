package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
)

// The garbage collector finds new kinds by polling. The controller manager
// makes it poll every 30 seconds, which no flag changes, and a test that has
// just installed its CRDs would wait for that. So the collector runs here,
// beside the controller manager, and polls more often.
const (
	kindsPeriod       = time.Second
	collectors        = 5
	initialSyncAtMost = 30 * time.Second
)

// collectGarbage runs the garbage collector until the context is done.
func collectGarbage(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = controllersQPS, controllersBurst
	config.UserAgent = "garbage-collector"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	// Polls for new kinds must not be answered from the mapper's cache.
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}

	started := make(chan struct{})
	close(started) // there are no other informers to wait for
	collector, err := garbagecollector.NewGarbageCollector(ctx, client, metadataClient,
		restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery())),
		garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(
			informers.NewSharedInformerFactory(client, 0),
			metadatainformer.NewSharedInformerFactory(metadataClient, 0)),
		started)
	if err != nil {
		return fmt.Errorf("garbage collector: %w", err)
	}
	go collector.Sync(ctx, kinds, kindsPeriod)
	collector.Run(ctx, collectors, initialSyncAtMost)
	return nil
}
