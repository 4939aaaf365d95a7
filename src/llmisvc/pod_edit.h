// Small edits of a pod template as JSON.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json/value.h"

namespace llmd::llmisvc {

// The container of that name in containers (or initContainers); null when there is none.
json::Object* find_container(json::Object& pod, std::string_view name, std::string_view list = "containers");
// The list member `key` of `object`, made when absent.
json::Array& list_in(json::Object& object, std::string_view key);
// Adds `element` unless one with the same `key` is there: what a user wrote stays.
void add_keyed(json::Object& object, std::string_view list, std::string_view key, json::Object element);
// The words of the list `key` (command, args).
std::vector<std::string> words_in(const json::Object& container, std::string_view key);
// True when command or args have one of `flags` ("--port"), alone or with a value (--port=8000).
bool has_flag(const json::Object& container, std::initializer_list<std::string_view> flags);
void add_env(json::Object& container, std::string_view name, std::string_view value);
void add_mount(json::Object& container, std::string_view volume, std::string_view path, bool read_only,
               std::string_view sub_path = {});
void add_volume(json::Object& pod, std::string_view name, json::Object source);

}  // namespace llmd::llmisvc
