// The steps every write goes through between the request and the registry. Pure but for the clock.
#pragma once

#include <optional>

#include "apiserver/managed_fields.h"
#include "apiserver/service.h"

namespace llmd::apiserver {

// Refuses writes into namespaces that are absent or going.
Answer<> check_namespace(const Service& service, const Request& request);

Writer writer_of(const Service& service, const Request& request);

// From what the client sent to what is stored. `applied`: the object comes from apply_patch and has its
// managers already.
Answer<kube::Object> prepare_create(const Service& service, const Request& request, kube::Object object,
                                    bool applied);

// `proposed` is the whole object as the client wants it. Status and specification are kept apart as the
// subresource says; what clients cannot change is taken from `live`.
Answer<kube::Object> prepare_update(const Service& service, const Request& request, const kube::Object& live,
                                    kube::Object proposed, bool applied);

// True when the two differ in nothing but versions and times of managedFields.
bool same_object(const kube::Object& before, const kube::Object& after);

// An object that was only waiting for this: marked for deletion, nothing holds it any more.
bool may_go(const Kind& kind, const kube::Object& object);

// Stores an object and shapes the answer; respects dryRun, and deletes instead when the object may go.
Task<Answer<Reply>> store(Service& service, const Request& request, kube::ObjectKey key, kube::Object object,
                          int code);

// The update of an existing object as one step: prepare, skip when nothing changed, store.
Task<Answer<Reply>> store_update(Service& service, const Request& request, ObjectPtr live,
                                 kube::Object proposed, bool applied);

std::string random_suffix();  // five characters, as generateName appends them

}  // namespace llmd::apiserver
