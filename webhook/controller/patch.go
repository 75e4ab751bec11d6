package controller

import (
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// annotationPatch is a JSON merge patch of annotations; an empty value takes one off. A resourceVersion in it makes the
// API server refuse the patch on any later version, with a conflict.
func annotationPatch(version string, annotations map[string]string) client.Patch {
	values := map[string]any{}
	for key, value := range annotations {
		values[key] = value
		if value == "" {
			values[key] = nil
		}
	}
	meta := map[string]any{"annotations": values}
	if version != "" {
		meta["resourceVersion"] = version
	}
	data, _ := json.Marshal(map[string]any{"metadata": meta}) // strings always encode
	return client.RawPatch(types.MergePatchType, data)
}

// refused reports whether a write failed for what it asks, so that to ask again helps nothing: admission denied it, or
// the object is not valid. A webhook that cannot be reached is an internal error and no refusal.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}
