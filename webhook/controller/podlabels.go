package controller

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// podLabels fills in the labels and annotations of the proxies' pods, and says what is wrong with them.
func (o *Options) podLabels(config *proxyobjects.Config) []error {
	var errs, more []error
	config.PodLabels, errs = pairs("proxy-pod-labels", o.ProxyPodLabels, metav1validation.ValidateLabels)
	config.PodAnnotations, more = pairs("proxy-pod-annotations", o.ProxyPodAnnotations, validation.ValidateAnnotations)
	return append(errs, more...)
}

// pairs reads key=value,key=value. It is CSV, as annotations may have commas.
func pairs(flag, text string, check func(map[string]string, *field.Path) field.ErrorList) (map[string]string, []error) {
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord = -1
	lines, err := reader.ReadAll()
	if err != nil {
		return nil, []error{fmt.Errorf("--%s: %q is not accepted: %w: write key=value,..., with double quotes around a pair "+
			"that holds a comma or a quote, and each quote in it twice", flag, text, err)}
	}
	result := map[string]string{}
	var errs []error
	for _, pair := range slices.Concat(lines...) {
		refuse := func(why string) {
			errs = append(errs, fmt.Errorf("--%s: %q is not accepted: %s", flag, pair, why))
		}
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			refuse("write key=value")
		case proxyobjects.Reserved(key):
			refuse(key + " is TPA's own: write any key but " + proxyobjects.ReservedKeys)
		}
		for _, e := range check(map[string]string{key: value}, nil) {
			refuse(e.Detail)
		}
		result[key] = value
	}
	return result, errs
}
