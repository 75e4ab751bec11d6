package kube

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// pauseMin and pauseMax bound the time between two attempts to reach an API server that is away. client-go's informers would
// wait for up to a minute in the end (cache.Reflector: 30 s and as much again at random), and connections with them, which
// are held until the watches tell of a backend. A refused connect every 2 s costs nobody anything.
const pauseMin, pauseMax = 100 * time.Millisecond, 2 * time.Second

// persistent is a source that asks until the API server has answered.
func persistent(source *cache.ListWatch) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return untilAnswered(ctx, func() (runtime.Object, error) { return source.ListWithContext(ctx, o) })
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return untilAnswered(ctx, func() (watch.Interface, error) { return source.WatchWithContext(ctx, o) })
		},
	}
}

// untilAnswered asks until there is an answer, if only a refusal, or ctx ends.
func untilAnswered[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for pause, said := pauseMin, false; ; pause = min(2*pause, pauseMax) {
		answer, err := ask()
		var status apierrors.APIStatus
		if err == nil || errors.As(err, &status) || ctx.Err() != nil {
			return answer, err
		}
		if !said {
			klog.FromContext(ctx).Info("watch: the API server does not answer", "err", err.Error())
			said = true
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return answer, err
		}
	}
}
