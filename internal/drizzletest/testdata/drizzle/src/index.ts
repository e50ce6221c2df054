export * from "./schemas/user";
export * from "./schemas/refresh-token";
export * from "./schemas/otp";
export * from "./schemas/session";
