// Where a model's weights come from and how they get into a pod.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

enum class Mechanism {
  Download,     // an init container copies the files: hf, s3, gs, https, http, pypi, and file on one machine
  VolumeClaim,  // pvc://claim/path, mounted read-only
  HostFolder,   // file:// on a cluster
  ModelCar,     // oci://image, a container beside the server
  ImageVolume,  // oci+native://image
};

struct ModelUri {
  std::string scheme;
  std::string rest;  // behind ://
  Mechanism mechanism = Mechanism::Download;
};

// InvalidArgument without "://", with an empty rest, or with an unknown scheme (hint: the nearest or all
// known ones).
Result<ModelUri> parse_model_uri(std::string_view uri, Platform platform);

inline constexpr std::string_view kModelFolder = "/mnt/models";

// /mnt/lora/<name>, characters that are not safe in a file name replaced.
std::string adapter_folder(std::string_view adapter_name);

// Adds the volumes, mounts and containers that bring model and adapters into `pod`; the server is container
// `main`. Fails for adapters that cannot be mounted.
Result<void> add_model_storage(json::Object& pod, const Service& service, const Facts& facts);

}  // namespace llmd::llmisvc
