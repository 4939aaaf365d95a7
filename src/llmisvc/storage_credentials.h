// With what a model is downloaded: the Secrets that the pod's service account lists, and the one that the
// service's annotation serving.kserve.io/storageSecretName names. Values stay in the Secrets; containers
// refer to their keys.
#pragma once

#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

// Adds variables (and, for Google's key file, a volume) to `downloader`, a container of `pod`. What a user
// set stays.
void add_credentials(json::Object& pod, json::Object& downloader, const Service& service, const Facts& facts);

// Copies the pull secrets and Secrets of the account that `pod` uses (or of `default`) to `account`, a
// ServiceAccount of ours; with_annotations also what cloud providers read from it.
void copy_account(const json::Object& pod, const Service& service, const Facts& facts, bool with_annotations,
                  json::Object& account);

}  // namespace llmd::llmisvc
